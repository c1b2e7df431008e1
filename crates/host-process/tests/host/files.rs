//! Tests of the files that a game finds.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

use agis_base::OperationId;
use agis_servers::host::{HostError, Reached};

use crate::{
    ONE,
    bench::{Bench, demo, running_as},
};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn files_follow_a_new_name_and_keep_the_rest() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo(
        "files.'once.txt' = 'first'\n\
         files.'conf/all.ini' = 'on = {bind}:{port} {other}'\n\
         files.'run.sh' = '#!/bin/sh'\n\
         files.'server.properties'.set = { motd = '{name}', server-port = '{port}' }\n\
         files.'state.json' = { text = '{ \"rules\": [] }', set.net = { name = '{name}', port = '{port}' } }",
    );
    let world = bench.server(ONE).join("world");
    for (generation, name) in [(1, "{port} \"1\""), (2, "Zwei: ü")] {
        let begun = bench.order(&host, ONE, (generation, OperationId::new()), running_as(&game, name)).await;
        let Ok(Reached::Running(endpoint)) = begun else { panic!("{begun:?}") };
        let port = endpoint.port;
        assert_eq!(read(&world.join("conf/all.ini")), format!("on = 127.0.0.1:{port} {{other}}"));
        let properties = match generation {
            1 => format!("motd={{port}} \"1\"\nserver-port={port}\n"),
            _ => format!("# from the game\nserver-port={port}\nmotd=Zwei\\: \\u00fc\n"),
        };
        assert_eq!(read(&world.join("server.properties")), properties);
        let state: serde_json::Value = serde_json::from_str(&read(&world.join("state.json"))).expect("JSON");
        assert_eq!(state["net"], serde_json::json!({ "name": name, "port": port }));
        if generation == 1 {
            assert_eq!(state["rules"], serde_json::json!([]));
            // A game rewrites its files.
            fs::write(world.join("once.txt"), "changed").expect("a writable file");
            fs::write(world.join("conf/all.ini"), "changed").expect("a writable file");
            fs::write(world.join("server.properties"), "# from the game\nserver-port=1\n").expect("a writable file");
            fs::write(world.join("state.json"), "{ \"rules\": [7] }").expect("a writable file");
        } else {
            assert_eq!(state["rules"], serde_json::json!([7]));
        }
    }
    assert_eq!(read(&world.join("once.txt")), "changed");
    let owner = fs::metadata(&world).expect("the world").uid();
    let script = fs::metadata(world.join("run.sh")).expect("the file");
    assert!(script.uid() == owner && script.mode() & 0o100 != 0);
}

#[tokio::test]
async fn broken_file_fails_the_start_with_a_sentence() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("files.'a.json'.set.port = '{port}'");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let path = bench.server(ONE).join("world/a.json");
    let other = bench.data().join("other");
    fs::write(&other, "{}").expect("a file");
    type Damage<'a> = &'a dyn Fn() -> std::io::Result<()>;
    let damages: [(Damage<'_>, &str); 4] = [
        (&|| fs::write(&path, "{ \"port\": "), "a.json: is no valid JSON any more"),
        (&|| fs::remove_file(&path).and_then(|()| symlink(&other, &path)), "a.json: is a link"),
        (&|| fs::remove_file(&path).and_then(|()| fs::create_dir(&path)), "a.json: is a directory"),
        (&|| fs::remove_dir(&path).and_then(|()| fs::write(&path, "{}")), "a.json: cannot be written by the game"),
    ];
    for (generation, (damage, says)) in (2..).zip(damages) {
        damage().expect("a damage");
        if generation == 5 {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o400)).expect("permissions");
        }
        let refused = bench.start(&host, ONE, generation, &game).await;
        assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains(says)), "{says}: {refused:?}");
    }
    assert_eq!(read(&other), "{}");
    fs::remove_file(&path).expect("a file");
    bench.start(&host, ONE, 9, &game).await.expect("it starts again");
}

#[tokio::test]
async fn a_name_that_a_file_cannot_hold_is_told() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("files.'a.ini' = 'name = {name}'");
    let refused = bench.order(&host, ONE, (1, OperationId::new()), running_as(&game, "\"\"\"")).await;
    let says = "cannot be written into a.ini, since it begins with";
    assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains(says)), "{refused:?}");
    let renamed = bench.order(&host, ONE, (2, OperationId::new()), running_as(&game, "Three")).await;
    assert!(matches!(renamed, Ok(Reached::Running(_))), "{renamed:?}");
}

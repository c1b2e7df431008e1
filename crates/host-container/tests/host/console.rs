use agis_servers::console::{Begin, Console, ConsoleError};

use crate::{
    ONE, TWO,
    bench::{Bench, demo, eventually, lines, script, start, stop},
};

#[tokio::test]
async fn commands_reach_the_game_again_and_again() {
    let bench = Bench::new();
    let host = bench.host();
    start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    for text in ["one", "two", "three"] {
        host.tell(ONE, &format!("say {text}")).await.expect("typed");
        eventually(async || lines(&host, ONE).await.iter().any(|line| line == text)).await;
    }
    // Another program types too, after the first one is gone.
    drop(host);
    let host = bench.host();
    host.tell(ONE, "say four").await.expect("typed");
    eventually(async || lines(&host, ONE).await.iter().any(|line| line == "four")).await;
    assert_eq!(host.tell(TWO, "say five").await, Err(ConsoleError::NotRunning));
    stop(&host, ONE, 2).await.expect("a stop");
    assert_eq!(host.tell(ONE, "say five").await, Err(ConsoleError::NotRunning));
    assert!(lines(&host, ONE).await.contains(&"saving the world".to_owned()), "the log stays");
}

#[tokio::test]
async fn followers_get_each_line_once() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        r#"for i in 1 2 3 4 5 6 7 8; do echo line $i; done; printf '\033[32mgreen\033[0m\nhalf'; sleep 1; echo; echo up; cat"#,
        "ready = { when = { log = 'up' } }",
        "",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    let all = lines(&host, ONE).await;
    let mut expected: Vec<_> = (1..=8).map(|number| format!("line {number}")).collect();
    expected.extend(["green", "half", "up"].map(str::to_owned));
    assert_eq!(all, expected);
    let tail = host.lines(ONE, &Begin::Recent { tail: Some(1), since: None }, 100).await.expect("a console");
    assert_eq!(tail.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["up"]);
    host.tell(ONE, "news").await.expect("typed");
    let mut end = tail.end;
    let mut news = vec![];
    eventually(async || {
        let piece = host.lines(ONE, &Begin::Behind(end.clone()), 100).await.expect("a console");
        end = piece.end;
        news.extend(piece.lines.into_iter().map(|line| line.text));
        !news.is_empty()
    })
    .await;
    assert_eq!(news, ["news"]);
    let mut from = Begin::Recent { tail: Some(100), since: None };
    let mut read = vec![];
    loop {
        let piece = host.lines(ONE, &from, 3).await.expect("a console");
        assert!(piece.lines.len() <= 3);
        read.extend(piece.lines.into_iter().map(|line| line.text));
        if !piece.more {
            break;
        }
        from = Begin::Behind(piece.end);
    }
    expected.push("news".to_owned());
    assert_eq!(read, expected);
}

#[tokio::test]
async fn text_of_windows_and_nul_are_readable() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        r#"printf 'w\0o\0r\0l\0d\0\r\0\n\0'; printf 'a\0bcdefghijklmn\n'; sleep 1; echo up; sleep 1000"#,
        "ready = { when = { log = 'up' } }",
        "",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    assert_eq!(lines(&host, ONE).await, ["world", "abcdefghijklmn", "up"]);
}

#[tokio::test]
async fn text_of_windows_keeps_every_letter() {
    let bench = Bench::new();
    let host = bench.host();
    let text = "caf\u{e9} \u{4e0a}\u{6d77} \u{40a}\r\n";
    let octal: String = text.encode_utf16().flat_map(u16::to_le_bytes).map(|byte| format!("\\{byte:03o}")).collect();
    let game = script(
        &format!("printf '{octal}'; printf 'caf\\303\\251\\n'; sleep 1; echo up; sleep 1000"),
        "ready = { when = { log = 'up' } }",
        "",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    assert_eq!(lines(&host, ONE).await, ["caf\u{e9} \u{4e0a}\u{6d77} \u{40a}", "caf\u{e9}", "up"]);
}

#[tokio::test]
async fn line_in_two_halves_loses_neither() {
    let bench = Bench::new();
    let host = bench.host();
    // The sign itself comes in two halves.
    let game = script(
        "echo first; printf 'your na'; sleep 4; printf 'me?\\n'; printf 'now'; sleep 4; echo ' up'; printf 'end'; sleep 1000",
        "ready = { when = { log = 'now up' }, within_s = 60 }",
        "",
    );
    let follow = async {
        let (mut begin, mut read) = (Begin::Recent { tail: None, since: None }, vec![]);
        eventually(async || {
            let Ok(piece) = host.lines(ONE, &begin, 1).await else { return false };
            begin = Begin::Behind(piece.end);
            read.extend(piece.lines.into_iter().map(|line| line.text));
            read.concat().ends_with("up")
        })
        .await;
        read
    };
    let (started, read) = tokio::join!(start(&host, ONE, 1, &game), follow);
    started.expect("a start");
    // Docker passes no line on before its end.
    let halves = ["first", "your na", "me?", "now", " up"];
    assert!(read == halves || read == ["first", "your name?", "now up"], "{read:?}");
    let all = lines(&host, ONE).await;
    assert_eq!(all[..3], ["first", "your name?", "now up"]);
}

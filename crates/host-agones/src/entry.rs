//! Turns an entry of the catalogue that describes a container into the template of a GameServer, so that one entry serves
//! machines and clusters.

use agis_base::ServerId;
use agis_servers::{
    game::{Container, Game, GamePort, Placeholder, SettingValue, World, fill_plainly},
    host::Launch,
};
use serde_json::{Value, json};

use crate::{names, template::Template};

/// Address on which a game listens in its pod.
const BIND: &str = "0.0.0.0";
/// Size of a world without a limit.
const WORLD: &str = "10Gi";
/// Name of the world's volume.
const VOLUME: &str = "world";
/// Bound of each folder for temporary files. Their content counts as memory of the container.
const TEMPORARY: &str = "1Gi";
/// Seconds between two looks at the port.
const LOOK: u32 = 2;

/// Returns the volume for a server's world; `None` if the game keeps none. The mounts stand in the template.
pub(crate) fn world(game: &Game, container: &Container) -> Option<World> {
    let first = container.mounts.first()?;
    let size =
        game.limits.disk.map_or_else(|| WORLD.to_owned(), |disk| format!("{}Mi", disk.bytes().div_ceil(1 << 20)));
    Some(World { size, mount: first.path.clone(), storage_class: None })
}

/// Returns the template for a start of the game.
pub(crate) fn template(launch: &Launch, container: &Container, server: ServerId) -> Template {
    let game = &launch.game;
    let mut pod = json!({
        "terminationGracePeriodSeconds": game.stop.grace_s,
        // A game inherits no variables of others.
        "enableServiceLinks": false,
        "securityContext": pod_security(container),
        "containers": [game_container(launch, container)],
    });
    let volumes = volumes(container, server);
    if !volumes.is_empty() {
        pod["volumes"] = volumes.into();
    }
    Template::of(json!({
        "ports": game.ports.iter().map(port).collect::<Vec<_>>(),
        // The game does not know Agones' SDK.
        "health": { "disabled": true },
        "template": { "spec": pod },
    }))
}

fn port(GamePort { name, number, protocol }: &GamePort) -> Value {
    let protocol = protocol.as_str().to_uppercase();
    json!({ "name": name, "portPolicy": "Dynamic", "containerPort": number, "protocol": protocol })
}

fn game_container(launch: &Launch, container: &Container) -> Value {
    let game = &launch.game;
    let filled = |texts: &[String]| texts.iter().map(|text| filled(launch, text)).collect::<Vec<_>>();
    let env = game.env.iter().map(|(name, value)| json!({ "name": name, "value": self::filled(launch, value) }));
    let mut made = json!({
        "name": "game",
        "image": container.image,
        "env": env.collect::<Vec<_>>(),
        "resources": resources(game),
        "readinessProbe": { "tcpSocket": { "port": game.port() }, "periodSeconds": LOOK },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "readOnlyRootFilesystem": container.is_read_only,
            "capabilities": { "drop": ["ALL"], "add": container.capabilities },
        },
        "volumeMounts": mounts(container),
        "tty": game.pty,
    });
    // Absent fields leave the image's own.
    for (field, texts) in [("command", &container.entrypoint), ("args", &container.command)] {
        if !texts.is_empty() {
            made[field] = filled(texts).into();
        }
    }
    made
}

/// Fills in a text. Kubernetes replaces `$(NAME)` in texts, and `$$` by `$`. A text that somebody typed must not pull in
/// variables.
fn filled(launch: &Launch, text: &str) -> String {
    let port = |number: Option<u16>| number.map(|number| number.to_string()).unwrap_or_default();
    let game = &launch.game;
    let value = |placeholder: Placeholder<'_>| match placeholder {
        Placeholder::Name => launch.name_on_one_line(),
        Placeholder::Port => port(game.port()),
        Placeholder::NamedPort(name) => port(game.ports.iter().find(|it| it.name == name).map(|it| it.number)),
        Placeholder::Bind => BIND.to_owned(),
        // The catalogue lets only processes name the program.
        Placeholder::Agis => String::new(),
        Placeholder::RconPassword => launch.rcon_password.expose().to_owned(),
        Placeholder::Setting(name) => launch.settings.get(name).map(SettingValue::expose_text).unwrap_or_default(),
    };
    fill_plainly(text, value).replace('$', "$$")
}

/// Returns the resources. The scheduler counts a quarter of the processors, since games seldom use all of theirs.
fn resources(game: &Game) -> Value {
    let mut resources = json!({ "limits": {}, "requests": {} });
    if let Some(memory) = game.limits.memory {
        let bytes = memory.bytes().to_string();
        resources["limits"]["memory"] = bytes.clone().into();
        resources["requests"]["memory"] = bytes.into();
    }
    if let Some(cpu) = game.limits.cpu {
        resources["limits"]["cpu"] = format!("{}m", cpu.thousandths()).into();
        resources["requests"]["cpu"] = format!("{}m", cpu.thousandths().div_ceil(4)).into();
    }
    resources
}

fn pod_security(container: &Container) -> Value {
    let mut security = json!({ "seccompProfile": { "type": "RuntimeDefault" } });
    if let Some(user) = container.user {
        security["runAsUser"] = user.uid.into();
        security["runAsGroup"] = user.gid.into();
        security["runAsNonRoot"] = (user.uid != 0).into();
        // A new volume belongs to root.
        security["fsGroup"] = user.gid.into();
        security["fsGroupChangePolicy"] = "OnRootMismatch".into();
    }
    security
}

fn mounts(container: &Container) -> Vec<Value> {
    let worlds = container.mounts.iter().map(|mount| match mount.folder.as_str() {
        "" => json!({ "name": VOLUME, "mountPath": mount.path }),
        folder => json!({ "name": VOLUME, "mountPath": mount.path, "subPath": folder }),
    });
    let temporary = container.temporary.iter().enumerate();
    worlds.chain(temporary.map(|(place, path)| json!({ "name": format!("tmp-{place}"), "mountPath": path }))).collect()
}

fn volumes(container: &Container, server: ServerId) -> Vec<Value> {
    let claim = json!({ "name": VOLUME, "persistentVolumeClaim": { "claimName": names::world(server) } });
    let temporary = (0..container.temporary.len()).map(
        |place| json!({ "name": format!("tmp-{place}"), "emptyDir": { "medium": "Memory", "sizeLimit": TEMPORARY } }),
    );
    (!container.mounts.is_empty()).then_some(claim).into_iter().chain(temporary).collect()
}

#[cfg(test)]
mod tests {
    use agis_base::{OperationId, UserId};
    use agis_servers::game::Catalogue;

    use super::*;

    const CATALOGUE: &str = r#"
[g]
title = "G"
cost_per_hour = 0
ports = [{ name = "game", port = 25565 }, { name = "query", port = 25566, protocol = "udp" }]
ready = { when = "health", within_s = 300 }
stop = { grace_s = 75 }
limits = { memory = "2GiB", cpu = 1.5, disk = "5GiB" }
console = { pty = true }
[g.container]
image = "docker.io/example/game:1"
entrypoint = ["/game"]
command = ["--port", "{port}", "--name={name}"]
env = { MOTD = "{settings.motd}", QUERY = "{bind}:{port.query}" }
user = "1000:1001"
world = { saves = "/saves", mods = "/opt/mods" }
capabilities = ["SYS_NICE"]
[g.settings.motd]
title = "Message"
type = "text"
default = "$(AGIS_SERVER_ID) or more"
"#;

    fn launch(catalogue: &Catalogue, name: &str) -> Launch {
        let game = catalogue.get("g").expect("the game").clone();
        let settings = game.setting_values(&Default::default()).expect("defaults");
        Launch {
            game,
            server_name: name.into(),
            owner: UserId::from_stored("42"),
            settings,
            rcon_password: Default::default(),
        }
    }

    fn made(launch: &Launch) -> Value {
        let container = launch.game.container().expect("a container");
        let labels = names::of_generation("agones", ServerId(7), 3, OperationId::default());
        let template = template(launch, container, ServerId(7));
        serde_json::to_value(template.gameserver(launch, ServerId(7), 3, labels)).expect("JSON")
    }

    #[test]
    fn entry_of_a_container_makes_a_game_server() {
        let catalogue = Catalogue::parse(CATALOGUE).expect("a catalogue");
        let launch = launch(&catalogue, "Sun\nday $(MOTD)");
        let mut made = made(&launch);
        assert_eq!(made["metadata"]["annotations"][names::READY], "pod");
        made["spec"]["template"]["metadata"].take();
        let tmp = json!({ "medium": "Memory", "sizeLimit": "1Gi" });
        let spec = json!({
            "ports": [
                { "name": "game", "portPolicy": "Dynamic", "containerPort": 25565, "protocol": "TCP" },
                { "name": "query", "portPolicy": "Dynamic", "containerPort": 25566, "protocol": "UDP" },
            ],
            "health": { "disabled": true },
            "template": { "metadata": null, "spec": {
                "terminationGracePeriodSeconds": 75,
                "enableServiceLinks": false,
                "restartPolicy": "Never",
                "securityContext": {
                    "seccompProfile": { "type": "RuntimeDefault" },
                    "runAsUser": 1000, "runAsGroup": 1001, "runAsNonRoot": true,
                    "fsGroup": 1001, "fsGroupChangePolicy": "OnRootMismatch",
                },
                "containers": [{
                    "name": "game",
                    "image": "docker.io/example/game:1",
                    "command": ["/game"],
                    "args": ["--port", "25565", "--name=Sun day $$(MOTD)"],
                    "env": [
                        { "name": "AGIS_SERVER_NAME", "value": "Sun\nday $$(MOTD)" },
                        { "name": "AGIS_SERVER_ID", "value": "7" },
                        { "name": "MOTD", "value": "$$(AGIS_SERVER_ID) or more" },
                        { "name": "QUERY", "value": "0.0.0.0:25566" },
                    ],
                    "resources": {
                        "limits": { "memory": "2147483648", "cpu": "1500m" },
                        "requests": { "memory": "2147483648", "cpu": "375m" },
                    },
                    "readinessProbe": { "tcpSocket": { "port": 25565 }, "periodSeconds": 2 },
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "privileged": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": { "drop": ["ALL"], "add": ["SYS_NICE"] },
                    },
                    "volumeMounts": [
                        { "name": "world", "mountPath": "/opt/mods", "subPath": "mods" },
                        { "name": "world", "mountPath": "/saves", "subPath": "saves" },
                        { "name": "tmp-0", "mountPath": "/tmp" },
                    ],
                    "tty": true,
                }],
                "volumes": [
                    { "name": "world", "persistentVolumeClaim": { "claimName": "agis-7-world" } },
                    { "name": "tmp-0", "emptyDir": tmp },
                ],
            } },
        });
        assert_eq!(made["spec"], spec);
        let world = world(&launch.game, launch.game.container().expect("a container")).expect("a world");
        assert_eq!((world.size.as_str(), world.storage_class), ("5120Mi", None));
    }

    #[test]
    fn entry_without_a_world_keeps_none() {
        let text = CATALOGUE.replace("world = { saves = \"/saves\", mods = \"/opt/mods\" }", "tmp = []");
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let launch = launch(&catalogue, "Sky");
        assert_eq!(world(&launch.game, launch.game.container().expect("a container")), None);
        assert_eq!(made(&launch)["spec"]["template"]["spec"].get("volumes"), None);
    }
}

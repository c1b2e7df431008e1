//! Turns an entry of the catalogue that describes a container into the template of a GameServer, so that one entry serves
//! machines and clusters.

use std::{cell::Cell, collections::BTreeMap};

use agis_base::ServerId;
use agis_servers::{
    game::{
        Container, Game, GamePort, Placeholder, Protocol, ReadyWhen, SettingType, SettingValue, World, fill_plainly,
    },
    host::{Generation, Launch},
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
/// Fields of a container in Kubernetes' words: the program, and its arguments.
const COMMAND: &str = "command";
const ARGS: &str = "args";

/// Returns the volume for a server's world; `None` if the game keeps none. The mounts stand in the template.
pub(crate) fn world(game: &Game, container: &Container) -> Option<World> {
    let first = container.mounts.first()?;
    let size =
        game.limits.disk.map_or_else(|| WORLD.to_owned(), |disk| format!("{}Mi", disk.bytes().div_ceil(1 << 20)));
    Some(World { size, mount: first.path.clone(), storage_class: None })
}

/// Start of a game in a pod.
pub(crate) struct Site<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) container: &'a Container,
    pub(crate) server: ServerId,
    pub(crate) generation: Generation,
    /// Ports on which the game listens in its pod.
    pub(crate) ports: &'a [GamePort],
}

/// Returns the ports on which a game listens in the pod of a GameServer with this `spec`.
pub(crate) fn read_ports(game: &Game, spec: &Value) -> Vec<GamePort> {
    let number = |name: &str| {
        let port = spec["ports"].as_array()?.iter().find(|port| port["name"] == name)?;
        port["containerPort"].as_u64()?.try_into().ok()
    };
    let read = |port: &GamePort| GamePort { number: number(&port.name).unwrap_or(port.number), ..port.clone() };
    game.ports.iter().map(read).collect()
}

/// Returns the template for a start of the game.
pub(crate) fn template(site: &Site<'_>) -> Template {
    let Site { launch, container, server, .. } = *site;
    let game = &launch.game;
    let mut pod = json!({
        "terminationGracePeriodSeconds": game.stop.grace_s,
        // A game inherits no variables of others.
        "enableServiceLinks": false,
        "securityContext": pod_security(container),
        "containers": [game_container(site)],
    });
    let volumes = volumes(container, server);
    if !volumes.is_empty() {
        pod["volumes"] = volumes.into();
    }
    Template::of(json!({
        "ports": site.ports.iter().map(|port| self::port(port, container.has_public_ports)).collect::<Vec<_>>(),
        // The game does not know Agones' SDK.
        "health": { "disabled": true },
        "template": { "spec": pod },
    }))
}

/// A game that tells others its port knows it before it begins, so AGIS chooses the port of the node, too.
fn port(GamePort { name, number, protocol }: &GamePort, is_public: bool) -> Value {
    let protocol = protocol.as_str().to_uppercase();
    match is_public {
        true => json!({
            "name": name, "portPolicy": "Static", "containerPort": number, "hostPort": number, "protocol": protocol,
        }),
        false => json!({ "name": name, "portPolicy": "Dynamic", "containerPort": number, "protocol": protocol }),
    }
}

/// Checks whether the open port is the sign of readiness. A cluster does not know the health check of an image.
fn looks_at_port(game: &Game) -> bool {
    matches!(game.ready.when, ReadyWhen::Port | ReadyWhen::Health)
}

/// Returns the probe that sees an open port. Kubernetes itself looks at TCP alone.
fn probe(port: &GamePort) -> Value {
    match port.protocol {
        Protocol::Tcp => json!({ "tcpSocket": { "port": port.number }, "periodSeconds": LOOK }),
        Protocol::Udp => {
            let local = format!("^ *[0-9]*: [0-9A-F]*:{:04X} ", port.number);
            let look = format!("cat /proc/net/udp /proc/net/udp6 2>/dev/null | grep -q '{local}'");
            json!({ "exec": { "command": ["sh", "-c", look] }, "periodSeconds": LOOK, "timeoutSeconds": 5 })
        }
    }
}

/// Text of a container, and the key of its place: the name of a variable.
type Text<'a> = (String, &'a String);

/// Returns the variables of a game.
fn variables(game: &Game) -> impl Iterator<Item = Text<'_>> {
    game.env.iter().map(|(name, text)| (name.clone(), text))
}

/// Returns the parts of the container's entrypoint or command, each with the name of the variable that holds it if it is
/// secret.
fn parts<'a>(field: &str, texts: &'a [String]) -> impl Iterator<Item = Text<'a>> {
    let prefix = format!("AGIS_{}", field.to_uppercase());
    texts.iter().enumerate().map(move |(place, text)| (format!("{prefix}_{place}"), text))
}

/// Returns the secret texts of a game's container, filled in, by their keys in its Secret.
pub(crate) fn secrets(site: &Site<'_>) -> BTreeMap<String, String> {
    let Site { launch, container, .. } = *site;
    let parts = parts(COMMAND, &container.entrypoint).chain(parts(ARGS, &container.command));
    let texts = variables(&launch.game).chain(parts);
    texts.filter(|(_, text)| is_secret(&launch.game, text)).map(|(key, text)| (key, plain(site, text))).collect()
}

/// Checks whether a text holds a secret setting, or the password of RCON.
fn is_secret(game: &Game, text: &str) -> bool {
    let found = Cell::new(false);
    fill_plainly(text, |placeholder| {
        let is_secret = match placeholder {
            Placeholder::RconPassword => true,
            Placeholder::Setting(name) => game.setting(name).is_some_and(|it| it.form.kind() == SettingType::Secret),
            _ => false,
        };
        found.set(found.get() || is_secret);
        String::new()
    });
    found.get()
}

fn game_container(site: &Site<'_>) -> Value {
    let Site { launch, container, server, generation, .. } = *site;
    let (game, secret) = (&launch.game, names::gameserver(server, generation));
    let from_secret =
        |key: &str| json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } });
    let mut env: Vec<_> = variables(game)
        .map(|(name, text)| match is_secret(game, text) {
            true => from_secret(&name),
            false => json!({ "name": name, "value": filled(site, text) }),
        })
        .collect();
    // Kubernetes puts the variable in place of its name.
    let mut part = |(key, text): Text<'_>| match is_secret(game, text) {
        true => {
            env.push(from_secret(&key));
            format!("$({key})")
        }
        false => filled(site, text),
    };
    let command: Vec<_> = parts(COMMAND, &container.entrypoint).map(&mut part).collect();
    let args: Vec<_> = parts(ARGS, &container.command).map(&mut part).collect();
    let mut made = json!({
        "name": "game",
        "image": container.image,
        "env": env,
        "resources": resources(game),
        "readinessProbe": site.ports.first().filter(|_| looks_at_port(game)).map(probe),
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
    for (field, texts) in [(COMMAND, command), (ARGS, args)] {
        if !texts.is_empty() {
            made[field] = texts.into();
        }
    }
    made
}

/// Fills in a text of the pod. Kubernetes replaces `$(NAME)` in texts, and `$$` by `$`. A text that somebody typed must not
/// pull in variables.
fn filled(site: &Site<'_>, text: &str) -> String {
    plain(site, text).replace('$', "$$")
}

fn plain(site: &Site<'_>, text: &str) -> String {
    let Site { launch, ports, .. } = *site;
    let port = |port: Option<&GamePort>| port.map(|port| port.number.to_string()).unwrap_or_default();
    let value = |placeholder: Placeholder<'_>| match placeholder {
        Placeholder::Name => launch.name_on_one_line(),
        Placeholder::Port => port(ports.first()),
        Placeholder::NamedPort(name) => port(ports.iter().find(|it| it.name == name)),
        Placeholder::Bind => BIND.to_owned(),
        // The catalogue lets only processes name the program.
        Placeholder::Agis => String::new(),
        Placeholder::RconPassword => launch.rcon_password.expose().to_owned(),
        Placeholder::Setting(name) => launch.settings.get(name).map(SettingValue::expose_text).unwrap_or_default(),
    };
    fill_plainly(text, value)
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

    fn site<'a>(launch: &'a Launch, ports: &'a [GamePort]) -> Site<'a> {
        let container = launch.game.container().expect("a container");
        Site { launch, container, server: ServerId(7), generation: 3, ports }
    }

    fn made(launch: &Launch) -> Value {
        let labels = names::of_generation("agones", ServerId(7), 3, OperationId::default());
        let template = template(&site(launch, &launch.game.ports));
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
    fn game_that_tells_its_port_has_that_of_the_node() {
        let text = CATALOGUE
            .replace("image =", "public_ports = true\nimage =")
            .replace("port = 25565", "port = 25565, protocol = \"udp\"");
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let launch = launch(&catalogue, "Sky");
        let ports: Vec<_> =
            launch.game.ports.iter().map(|port| GamePort { number: port.number + 40, ..port.clone() }).collect();
        let template = template(&site(&launch, &ports)).gameserver(&launch, ServerId(7), 3, Default::default());
        let spec = serde_json::to_value(template).expect("JSON")["spec"].take();
        let port = json!({ "name": "game", "portPolicy": "Static", "containerPort": 25605, "hostPort": 25605, "protocol": "UDP" });
        assert_eq!(spec["ports"][0], port);
        assert_eq!(read_ports(&launch.game, &spec), ports);
        let game = &spec["template"]["spec"]["containers"][0];
        assert_eq!(game["args"][1], "25605");
        let look = game["readinessProbe"]["exec"]["command"][2].as_str().expect("a command");
        // 25605 is 6405.
        let listening =
            "  52: 00000000:6405 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 1 2 0 0";
        for (line, is_open) in [
            (listening, true),
            (&listening.replace(":6405", ":6406"), false),
            (&listening.replace(":0000 07", ":6405 07").replace("00000000:6405 0", "00000000:1111 0"), false),
        ] {
            let look = look.replace("cat /proc/net/udp /proc/net/udp6 2>/dev/null", &format!("echo '{line}'"));
            let status = std::process::Command::new("sh").args(["-c", &look]).status().expect("sh");
            assert_eq!(status.success(), is_open, "{line}");
        }
    }

    #[test]
    fn secrets_stand_in_no_game_server() {
        let secret = "type = \"secret\"\ntitle = \"Password\"\ndefault = \"\"";
        let text = format!("{CATALOGUE}[g.settings.password]\n{secret}\n")
            .replace("\"--port\"", "\"--password={settings.password}\", \"--port\"")
            .replace("env = {", "env = { PASSWORD = \"{settings.password}\",");
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let mut launch = launch(&catalogue, "Sky");
        launch.settings.insert("password".to_owned(), json!("hunter2 $(MOTD)").into());
        let made = made(&launch);
        assert!(!made.to_string().contains("hunter2"), "{made}");
        let game = &made["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(game["args"][0], "$(AGIS_ARGS_0)");
        let variable =
            |name: &str| game["env"].as_array().expect("a list").iter().find(|it| it["name"] == name).cloned();
        for key in ["PASSWORD", "AGIS_ARGS_0"] {
            let from = json!({ "name": key, "valueFrom": { "secretKeyRef": { "name": "agis-7-3", "key": key } } });
            assert_eq!(variable(key), Some(from));
        }
        let secrets = secrets(&site(&launch, &launch.game.ports));
        let expected = [("AGIS_ARGS_0", "--password=hunter2 $(MOTD)"), ("PASSWORD", "hunter2 $(MOTD)")];
        assert_eq!(secrets, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
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

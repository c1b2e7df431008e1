//! Turns an entry of the catalogue into a GameServer.

use agis_base::ServerId;
use agis_servers::{
    game::{Game, ReadyWhen, Runs, World},
    host::{Generation, Launch},
};
use kube::core::{ObjectMeta, TypeMeta};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    gameserver::{self, GameServer},
    names::{self, Words},
};

/// Name of the volume that holds the world.
const WORLD: &str = "world";

/// GameServer in the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Template {
    api_version: Option<String>,
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    spec: Value,
}

/// Part of `metadata` that the catalogue may give. AGIS writes the rest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metadata {
    labels: Words,
    annotations: Words,
}

impl Template {
    /// Returns the template of a GameServer's `spec`.
    pub(crate) fn of(spec: Value) -> Self {
        Self { api_version: None, kind: None, metadata: Metadata::default(), spec }
    }

    /// Parses a template.
    ///
    /// # Errors
    /// Returns the mistake, for people.
    pub(crate) fn parse(yaml: &str) -> Result<Self, String> {
        let template: Self = serde_saphyr::from_str(yaml).map_err(|error| {
            // A picture of the place follows the first line.
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            format!("cannot be read: {}", why.strip_prefix("error: ").unwrap_or(why))
        })?;
        let is = |has: &Option<String>, wanted: &str| has.as_deref().is_none_or(|has| has == wanted);
        if !is(&template.api_version, "agones.dev/v1") || !is(&template.kind, "GameServer") {
            return Err("is of another kind than GameServer, agones.dev/v1".into());
        }
        let mut spec = template.spec.clone();
        if container(&mut spec).is_none() {
            let several = "; where there are several, spec.container names the game's";
            return Err(format!("has no container for the game in spec.template.spec.containers{several}"));
        }
        Ok(template)
    }

    /// Mounts the world of a server, if its game keeps one.
    #[must_use]
    pub(crate) fn with_world(mut self, world: Option<&World>, server: ServerId) -> Self {
        if let Some(world) = world {
            mount(&mut self.spec, world, server);
        }
        self
    }

    /// Returns the GameServer of a generation.
    pub(crate) fn gameserver(
        self,
        launch: &Launch,
        server: ServerId,
        generation: Generation,
        labels: Words,
    ) -> GameServer {
        let Metadata { labels: mut all, annotations: mut notes } = self.metadata;
        all.extend(labels.clone());
        all.extend(v1_7(launch));
        let is_ready_by_pod = is_ready_by_pod(&launch.game);
        let by = if is_ready_by_pod { "pod" } else { "sdk" };
        notes.insert(names::READY.to_owned(), by.to_owned());
        // A list of small numbers is always valid JSON.
        notes.extend(serde_json::to_string(&launch.game.good_exits).ok().map(|it| (names::GOOD_EXITS.to_owned(), it)));
        let mut spec = self.spec;
        merge_labels(&mut spec, labels);
        if let Some(container) = container(&mut spec) {
            tell_names(container, launch, server);
        }
        if is_ready_by_pod {
            end_with_its_game(&mut spec);
        }
        let resource = gameserver::resource();
        GameServer {
            types: Some(TypeMeta { api_version: resource.api_version, kind: resource.kind }),
            metadata: ObjectMeta {
                name: Some(names::gameserver(server, generation)),
                labels: Some(all),
                annotations: Some(notes),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        }
    }
}

/// Checks whether a game's pod says that it is ready. An image that other hosts run does not know Agones' SDK.
fn is_ready_by_pod(game: &Game) -> bool {
    game.ready.when == ReadyWhen::Pod || game.container().is_some()
}

/// Returns the field of a game that no GameServer can be made of, and the mistake.
pub fn mistake(game: &Game) -> Option<(&'static str, String)> {
    match &game.runs {
        Runs::GameServer { yaml, .. } => Some(("gameserver", Template::parse(yaml).err()?)),
        Runs::Process(_) | Runs::Container(_) | Runs::Fleet(_) => None,
    }
}

/// Checks the template of each game.
///
/// # Errors
/// Returns every game whose template cannot be used, by key, with the reason.
pub(crate) fn check<'a>(games: impl Iterator<Item = &'a Game>) -> Result<(), Vec<(String, String)>> {
    let wrong: Vec<_> = games.filter_map(|game| Some((game.key.clone(), mistake(game)?.1))).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Returns the labels by which v1.7.0 told its servers apart. Dashboards and scripts look for them.
pub(crate) fn v1_7(launch: &Launch) -> Words {
    let pairs = [
        ("wtg.cluster/user-id", names::value(launch.owner.as_str())),
        ("wtg.cluster/server-name", names::value(&launch.server_name)),
    ];
    names::words(pairs).into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Returns the game's container: the only one, or the one that `spec.container` names.
pub(crate) fn container(spec: &mut Value) -> Option<&mut Value> {
    let name = spec["container"].as_str().map(str::to_owned);
    let containers = spec.pointer_mut("/template/spec/containers")?.as_array_mut()?;
    match (name, containers.as_mut_slice()) {
        (None, [only]) => Some(only),
        (Some(name), all) => all.iter_mut().find(|container| container["name"].as_str() == Some(&name)),
        _ => None,
    }
}

/// Adds our labels to the pod, so the watch of pods reports it.
fn merge_labels(spec: &mut Value, labels: Words) {
    let Some(template) = spec["template"].as_object_mut() else { return };
    let metadata = template.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let all = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(all) = all.as_object_mut() {
        all.extend(labels.into_iter().map(|(key, value)| (key, value.into())));
    }
}

/// Puts our variables first, so arguments and later variables may refer to them. Kubernetes replaces `$(NAME)` in
/// values, and `$$` by `$`. A name that somebody typed must not pull in other variables of the container.
fn tell_names(container: &mut Value, launch: &Launch, server: ServerId) {
    let Some(container) = container.as_object_mut() else { return };
    let env = container.entry("env").or_insert_with(|| json!([]));
    let Some(env) = env.as_array_mut() else { return };
    let ours = [("AGIS_SERVER_NAME", launch.server_name.replace('$', "$$")), ("AGIS_SERVER_ID", server.to_string())];
    env.retain(|variable| ours.iter().all(|(name, _)| variable["name"] != *name));
    env.splice(0..0, ours.map(|(name, value)| json!({ "name": name, "value": value })));
}

/// Forbids restarts in place. Only its pod reports a crash of such a game, and a restart would hide it.
fn end_with_its_game(spec: &mut Value) {
    if let Some(pod) = spec.pointer_mut("/template/spec").and_then(Value::as_object_mut) {
        pod.entry("restartPolicy").or_insert_with(|| "Never".into());
    }
}

fn mount(spec: &mut Value, world: &World, server: ServerId) {
    let claim = json!({ "name": WORLD, "persistentVolumeClaim": { "claimName": names::world(server) } });
    let place = json!({ "name": WORLD, "mountPath": world.mount });
    if let Some(pod) = spec.pointer_mut("/template/spec").and_then(Value::as_object_mut) {
        set(pod.entry("volumes").or_insert_with(|| json!([])), claim);
    }
    if let Some(container) = container(spec).and_then(Value::as_object_mut) {
        set(container.entry("volumeMounts").or_insert_with(|| json!([])), place);
    }
}

/// Puts an item into a list of named ones, in place of one of that name.
fn set(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.retain(|other| other["name"] != item["name"]);
        list.push(item);
    }
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
ready = { when = "pod" }
good_exits = [0, 3]
world = { size = "1Gi", mount = "/data" }
gameserver = """
metadata:
  labels: { team: red, "agis.wtg.cluster/server": "666" }
spec:
  container: game
  ports: [{ containerPort: 25565, protocol: TCP }]
  template:
    metadata: { labels: { tier: gold } }
    spec:
      volumes: [{ name: cache, emptyDir: {} }]
      containers:
      - { name: helper, image: "example/helper:1" }
      - name: game
        image: example/game:1
        env: [{ name: AGIS_SERVER_ID, value: forged }, { name: MOTD, value: $(AGIS_SERVER_NAME) }]
"""
"#;

    fn made(name: &str) -> Value {
        let catalogue = Catalogue::parse(CATALOGUE).expect("a catalogue");
        let game = catalogue.get("g").expect("the game").clone();
        let Runs::GameServer { yaml, world } = game.runs.clone() else { panic!("it has a template") };
        let template = Template::parse(&yaml).expect("it can be read");
        let launch = Launch {
            game,
            server_name: name.into(),
            owner: UserId::from_stored("42"),
            settings: Default::default(),
            rcon_password: Default::default(),
        };
        let labels = names::of_generation("agones", ServerId(7), 3, OperationId::default());
        serde_json::to_value(template.with_world(world.as_ref(), ServerId(7)).gameserver(
            &launch,
            ServerId(7),
            3,
            labels,
        ))
        .expect("JSON")
    }

    #[test]
    fn template_gets_our_name_labels_and_world() {
        let made = made("Sunday $(MOTD)");
        assert_eq!(made["kind"], "GameServer");
        assert_eq!(made["metadata"]["name"], "agis-7-3");
        let labels = &made["metadata"]["labels"];
        assert_eq!((&labels["team"], &labels[names::SERVER]), (&json!("red"), &json!("7")));
        assert_eq!(labels["wtg.cluster/server-name"], "Sunday---MOTD");
        assert_eq!(made["metadata"]["annotations"][names::GOOD_EXITS], "[0,3]");
        let pod = &made["spec"]["template"];
        assert_eq!(
            (&pod["metadata"]["labels"]["tier"], &pod["metadata"]["labels"][names::GENERATION]),
            (&json!("gold"), &json!("3"))
        );
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
        assert_eq!(pod["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"], "agis-7-world");
        let game = &pod["spec"]["containers"][1];
        assert_eq!(game["volumeMounts"], json!([{ "name": "world", "mountPath": "/data" }]));
        let variables = json!([
            { "name": "AGIS_SERVER_NAME", "value": "Sunday $$(MOTD)" },
            { "name": "AGIS_SERVER_ID", "value": "7" },
            { "name": "MOTD", "value": "$(AGIS_SERVER_NAME)" },
        ]);
        assert_eq!(game["env"], variables);
        assert_eq!(pod["spec"]["containers"][0].get("env"), None, "the helper is left alone");
    }

    #[test]
    fn all_unusable_templates_are_told_at_once() {
        let entry =
            |key: &str, yaml: &str| format!("[{key}]\ntitle = '{key}'\ncost_per_hour = 0\ngameserver = '{yaml}'\n");
        let text = [entry("a", "spec: ["), CATALOGUE.to_owned(), entry("b", "spec: {}")].concat();
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let wrong = check(catalogue.games().map(std::sync::Arc::as_ref)).expect_err("two cannot be used");
        assert_eq!(wrong.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let told = crate::config::SetupError::Templates(wrong).to_string();
        assert!(
            told.contains("game 'a': its gameserver cannot be read: ") && told.contains("\n    game 'b': "),
            "{told}"
        );
    }

    #[test]
    fn impossible_template_is_told() {
        for (yaml, says) in [
            ("kind: Fleet\nspec: {}", "another kind"),
            ("spec: {}", "no container"),
            ("spec: {template: {spec: {containers: [{name: a}, {name: b}]}}}", "no container"),
            ("spec: {container: c, template: {spec: {containers: [{name: a}]}}}", "no container"),
            ("metadata: {name: mine}\nspec: {}", "cannot be read"),
            ("spec: [", "cannot be read"),
        ] {
            let why = Template::parse(yaml).expect_err(yaml);
            assert!(why.contains(says), "{yaml}: {why}");
        }
    }
}

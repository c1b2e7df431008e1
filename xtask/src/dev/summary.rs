use crate::dev_env::DevEnv;
use crate::run::answer;

/// Prints the next commands, ready to be pasted.
pub(super) fn print(env: &DevEnv, page: Option<&str>) {
    let DevEnv { api_url, metrics_url, api_key, .. } = env;
    let post = |path: &str| format!("curl -sS -X POST {api_url}/api/v1/{path} -H 'Authorization: Bearer {api_key}'");
    let json = "-H 'Content-Type: application/json'";
    // Without jq, which not everybody has.
    let id = r#"grep -o '"id":[0-9]*' | cut -d: -f2"#;
    let here = std::env::current_dir().unwrap_or_default();
    let file = env.path.strip_prefix(here).unwrap_or(&env.path).display();
    let page = page.map_or_else(String::new, |page| format!("\n  Discord   {page}/ (a stand-in: type /help there)"));
    answer(format_args!(
        r#"
AGIS is up. Ctrl-C stops it.

  API       {api_url}
  metrics   {metrics_url}/metrics
  API key   {api_key}
  shell     source {file}{page}

Create a demo server (where you have none of that name), start it, and have it started every minute:

server=$({servers} {json} -d '{{"name":"my-demo","game_type":"demo"}}' | {id})
{start}
schedule=$({schedules} {json} \
  -d '{{"server_id":'$server',"action":"start","cron_expression":"* * * * *","timezone":"Europe/Berlin"}}' | {id})
"#,
        servers = post("servers"),
        start = post("servers/$server/start"),
        schedules = post("schedules"),
    ));
}

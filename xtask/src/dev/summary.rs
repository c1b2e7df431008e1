use crate::dev_env::DevEnv;
use crate::run::answer;

/// What to do next, ready to be pasted.
pub(super) fn print(env: &DevEnv, page: Option<&str>) {
    let DevEnv { api_url, metrics_url, api_key, .. } = env;
    let post = |path: &str| format!("curl -X POST {api_url}/api/v1/{path} -H 'Authorization: Bearer {api_key}'");
    let json = "-H 'Content-Type: application/json'";
    let page = page.map_or_else(String::new, |page| format!("\n  Discord   {page}/ (a stand-in: type /help there)"));
    answer(format_args!(
        r#"
AGIS is up. Ctrl-C stops it.

  API       {api_url}
  metrics   {metrics_url}/metrics
  API key   {api_key}
  shell     source .agis/dev.env{page}

Create a demo server, start it (1 is the id in the answer to the first line), and have it started every minute:

{servers} {json} -d '{{"name":"my-demo","game_type":"demo"}}'
{start}
{schedules} {json} -d '{{"server_id":1,"action":"start","cron_expression":"* * * * *","timezone":"Europe/Berlin"}}'
"#,
        servers = post("servers"),
        start = post("servers/1/start"),
        schedules = post("schedules"),
    ));
}

//! Game that needs no download. It answers a status query over TCP, takes lines on its console, and saves its world
//! when it is asked to end.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead, Write},
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};

/// Maximum number of open connections; further ones wait.
const CONNECTIONS: usize = 32;
/// Maximum time for a client to send its query.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Options {
    bind: String,
    port: u16,
    name: String,
    greeting: String,
    exit_after: Option<Duration>,
    never_ready: bool,
    ignore_sigterm: bool,
}

/// Plays until it is told to end. Takes `--bind ADDRESS --port PORT --name NAME --greeting TEXT`. For tests of a host, it also takes
/// `--exit-after MILLISECONDS` (with status 1), `--never-ready` (prints nothing), and `--ignore-sigterm`.
///
/// Call this before any async runtime starts. It starts one.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let played = parse(args.into_iter()).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(play(Arc::new(options)))
    });
    played.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "demo: {error}");
        ExitCode::FAILURE
    })
}

fn parse(mut args: impl Iterator<Item = OsString>) -> io::Result<Options> {
    let mut options = Options::default();
    while let Some(flag) = args.next() {
        let flag = flag.to_string_lossy().into_owned();
        let mut value = || args.next().unwrap_or_default().to_string_lossy().into_owned();
        match flag.as_str() {
            "--bind" => options.bind = value(),
            "--port" => options.port = value().parse().map_err(io::Error::other)?,
            "--name" => options.name = value(),
            "--greeting" => options.greeting = value(),
            "--exit-after" => {
                options.exit_after = Some(Duration::from_millis(value().parse().map_err(io::Error::other)?))
            }
            "--never-ready" => options.never_ready = true,
            "--ignore-sigterm" => options.ignore_sigterm = true,
            other => return Err(io::Error::other(format!("unknown argument '{other}'"))),
        }
    }
    Ok(options)
}

async fn play(options: Arc<Options>) -> io::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut console = console();
    let listener = TcpListener::bind((options.bind.as_str(), options.port)).await?;
    let early = options.exit_after.unwrap_or(Duration::MAX);
    if !options.greeting.is_empty() {
        say(&options.greeting);
    }
    if !options.never_ready {
        say(&format!("ready for players on {}", listener.local_addr()?));
    }
    let visits = serve(listener, Arc::clone(&options));
    tokio::pin!(visits);
    let leave = sleep(early);
    tokio::pin!(leave);
    loop {
        tokio::select! {
            () = &mut visits => {}
            _ = terminate.recv(), if !options.ignore_sigterm => return save(&options),
            Some(line) = console.recv() => match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
                ("say", text) => say(text),
                ("stop", _) => return save(&options),
                (other, _) => say(&format!("unknown command: {other}")),
            },
            () = &mut leave => {
                say("leaving early");
                return Ok(ExitCode::FAILURE);
            }
        }
    }
}

/// Reads lines that are typed on the console, on a thread of its own: nothing can cancel a read of standard input.
fn console() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        let lines = io::stdin().lock().lines();
        lines.map_while(Result::ok).take_while(|line| sender.blocking_send(line.clone()).is_ok()).for_each(drop);
    });
    receiver
}

async fn serve(listener: TcpListener, options: Arc<Options>) {
    let began = Instant::now();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((visitor, from)) => {
                say(&format!("{from} connected"));
                let options = Arc::clone(&options);
                tokio::spawn(async move {
                    // A client that hangs up or is slow does no harm.
                    let _ = timeout(PATIENCE, answer(visitor, &options.name, began)).await;
                    drop(place);
                });
            }
            // Too many files are open, for a while.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut visitor: TcpStream, name: &str, began: Instant) -> io::Result<()> {
    let (reader, mut writer) = visitor.split();
    let mut question = String::new();
    BufReader::new(reader.take(256)).read_line(&mut question).await?;
    let answer = if question.trim() == "status" {
        serde_json::json!({ "name": name, "game": "demo", "players": 0, "uptime_s": began.elapsed().as_secs() })
    } else {
        serde_json::json!({ "error": "ask for 'status'" })
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await
}

fn save(options: &Options) -> io::Result<ExitCode> {
    say("saving the world");
    fs::write("world.json", serde_json::json!({ "name": options.name }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a line. A game outlives the reader of its console.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

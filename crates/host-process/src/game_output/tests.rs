use std::{
    fs::File,
    io::{PipeWriter, Write},
};

use super::*;

/// Rate of which a burst and a little more fit into a pipe.
const SLOW: &str = "8KiB/s";

/// Returns the reader of a game's output, and the game's end.
fn pipe(rate: &str) -> (GameOutput, PipeWriter) {
    let (output, game) = io::pipe().expect("a pipe");
    (GameOutput::new(output.into(), rate.parse().ok()).expect("a reader"), game)
}

async fn next(output: &mut GameOutput) -> Option<String> {
    output.next().await.map(|heard| match heard {
        Heard::Line(output) => output.news().to_owned(),
        Heard::Note(note) => note,
    })
}

async fn rest(output: &mut GameOutput) -> Vec<String> {
    let mut texts = vec![];
    while let Some(text) = next(output).await {
        texts.push(text);
    }
    texts
}

/// Returns lines of 100 bytes each.
fn lines(count: usize) -> String {
    (0..count).map(|line| format!("line {line:094}\n")).collect()
}

#[tokio::test]
async fn prompt_is_shown_after_a_moment() {
    let (mut output, mut game) = pipe(SLOW);
    game.write_all(b"up\n> ").expect("written");
    let begun = Instant::now();
    assert_eq!(next(&mut output).await.as_deref(), Some("up"));
    assert_eq!((next(&mut output).await.as_deref(), begun.elapsed() < PATIENCE), (Some("> "), true));
    assert_eq!(output.deadline(), None, "a silent console has no timer");
    game.write_all(b"saved\n").expect("written");
    assert_eq!(next(&mut output).await.as_deref(), Some("saved"));
    drop(game);
    assert_eq!(rest(&mut output).await, Vec::<String>::new());
}

#[tokio::test]
async fn console_is_read_at_its_rate_and_says_so() {
    let (mut output, mut game) = pipe(SLOW);
    game.write_all(lines(400).as_bytes()).expect("room in the pipe");
    drop(game);
    let begun = Instant::now();
    let texts = rest(&mut output).await;
    assert!(begun.elapsed() >= WAIT_MIN, "{:?}", begun.elapsed());
    let (lines, notes) = texts.split_at(400);
    assert_eq!(lines.concat(), self::lines(400).replace('\n', ""));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("> (the console was over its rate of 8 KiB/s: the game waited "), "{notes:?}");
}

#[test]
fn notes_are_rare() {
    let now = Instant::now();
    let after = |seconds| now + Duration::from_secs(seconds);
    let silent = Gap::default();
    assert_eq!((silent.due(now), silent.is_long(now)), (None, false));
    let short = Gap { waited: WAIT_MIN, ..Gap::default() };
    assert_eq!((short.due(now), short.is_long(now)), (Some(now + NOTE_AFTER), false));
    let long = Gap { waited: NOTE_AFTER, noted: Some(now), ..Gap::default() };
    assert_eq!(long.due(after(1)), Some(after(60)));
    assert!(!long.is_long(after(59)) && long.is_long(after(60)));
}

#[tokio::test]
async fn ending_game_does_not_wait_for_its_console() {
    let (mut output, mut game) = pipe(SLOW);
    game.write_all(lines(500).as_bytes()).expect("room in the pipe");
    assert!(next(&mut output).await.is_some());
    output.let_end();
    drop(game);
    let begun = Instant::now();
    let texts = rest(&mut output).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(texts.len() < 500 && texts.last().is_some_and(|note| note.ends_with(" KiB are missing)")), "{texts:?}");
}

#[tokio::test]
async fn dropped_future_loses_nothing() {
    let (mut output, mut game) = pipe("1GiB/s");
    let writer = std::thread::spawn(move || game.write_all(lines(5000).as_bytes()));
    let mut read = 0;
    loop {
        tokio::select! {
            biased;
            text = next(&mut output) => match text {
                Some(text) => {
                    assert_eq!(text, format!("line {read:094}"));
                    read += 1;
                }
                None => break,
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(read, 5000);
    writer.join().expect("done").expect("written");
}

#[tokio::test]
async fn own_end_alone_is_changed() {
    let (output, game) = io::pipe().expect("a pipe");
    let _output = GameOutput::new(output.into(), None).expect("a reader");
    let game = File::from(OwnedFd::from(game));
    assert!(!fcntl_getfl(&game).expect("flags").contains(OFlags::NONBLOCK), "games expect to wait");
}

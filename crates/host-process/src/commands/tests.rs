use std::path::PathBuf;

use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{Receiver, pipe},
};

use super::*;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("console.in")
    }
}

async fn read(game: &mut Receiver, bytes: usize) -> String {
    let mut text = vec![0; bytes];
    game.read_exact(&mut text).await.expect("what was typed");
    String::from_utf8(text).expect("text")
}

#[tokio::test]
async fn a_command_is_noted_and_typed() {
    let bench = Bench::new();
    let mut commands = Commands::receive(&bench.path()).expect("a FIFO");
    let (mut keyboard, mut game) = pipe().expect("a pipe");
    let longest = "\u{1f600}".repeat(agis_servers::console::COMMAND_MAX);
    for command in ["say hi", "", &longest] {
        assert_eq!(send(&bench.path(), command), Ok(()));
        assert_eq!(commands.pass_on(&mut keyboard).await, Some(format!("> {command}")));
        assert_eq!(commands.pass_on(&mut keyboard).await, None);
        assert_eq!(read(&mut game, command.len() + 1).await, format!("{command}\n"));
    }
}

#[tokio::test]
async fn unread_channel_refuses_commands() {
    let bench = Bench::new();
    assert_eq!(send(&bench.path(), "x"), Err(ConsoleError::NoWay));
    drop(Commands::receive(&bench.path()).expect("a FIFO"));
    assert_eq!(send(&bench.path(), "x"), Err(ConsoleError::NoWay));
    fs::remove_file(bench.path()).expect("removed");
    fs::write(bench.path(), "").expect("a file");
    assert_eq!(send(&bench.path(), "x"), Err(ConsoleError::NoWay), "nothing is written into a file");
    assert_eq!(fs::read(bench.path()).expect("the file"), b"");
}

#[tokio::test]
async fn run_gets_no_command_of_the_run_before() {
    let bench = Bench::new();
    let before = Commands::receive(&bench.path()).expect("a FIFO");
    assert_eq!(send(&bench.path(), "for the first"), Ok(()));
    let mut commands = Commands::receive(&bench.path()).expect("a FIFO");
    drop(before);
    assert_eq!(send(&bench.path(), "for the second"), Ok(()));
    let (mut keyboard, _game) = pipe().expect("a pipe");
    assert_eq!(commands.pass_on(&mut keyboard).await, Some("> for the second".to_owned()));
}

#[tokio::test]
async fn unread_command_is_given_up_on() {
    let bench = Bench::new();
    let mut commands = Commands::receive(&bench.path()).expect("a FIFO");
    let (mut keyboard, mut game) = pipe().expect("a pipe");
    let command = "x".repeat(1000);
    let fill = || while send(&bench.path(), &command) == Ok(()) {};
    fill();
    assert_eq!(send(&bench.path(), &command), Err(ConsoleError::Busy));
    let refused = loop {
        fill();
        match commands.pass_on(&mut keyboard).await {
            Some(note) if note.contains("was not taken") => break note,
            _ => {}
        }
    };
    assert_eq!(refused, "> (the game does not read its console: the last command was not taken)");
    // Once it reads again, it gets what comes, in whole lines.
    let mut typed = vec![0; 64 * 1024];
    let bytes = game.read(&mut typed).await.expect("what was typed");
    assert_eq!(commands.pass_on(&mut keyboard).await, Some(format!("> {command}")));
    assert_eq!(commands.pass_on(&mut keyboard).await, None);
    assert_eq!(bytes % (command.len() + 1), 0, "whole lines");
    assert_eq!(read(&mut game, command.len() + 1).await, format!("{command}\n"));
}

#[tokio::test]
async fn strangers_on_the_fifo_do_no_harm() {
    let bench = Bench::new();
    let mut commands = Commands::receive(&bench.path()).expect("a FIFO");
    let (mut keyboard, mut game) = pipe().expect("a pipe");
    let path = bench.path();
    let stranger = std::thread::spawn(move || {
        use std::io::Write;
        let mut fifo = fs::OpenOptions::new().write(true).open(path).expect("the FIFO");
        fifo.write_all(&vec![b'x'; 1024 * 1024]).expect("read in time");
        fifo.write_all(b"\n\xff\x00\xfe\npart").expect("read in time");
    });
    let mut refused = 0;
    while let Some(note) = commands.pass_on(&mut keyboard).await {
        assert!(note.len() < 100, "{note}");
        refused += 1;
    }
    assert_eq!(refused, 1024 / 8 + 1, "and the empty line at its end");
    stranger.join().expect("done");
    assert_eq!(commands.pass_on(&mut keyboard).await, Some("> \u{fffd}\0\u{fffd}".to_owned()));
    assert_eq!(commands.pass_on(&mut keyboard).await, None);
    // A part waits for its end, whoever writes that.
    assert_eq!(send(&bench.path(), " of it"), Ok(()));
    assert_eq!(commands.pass_on(&mut keyboard).await, Some("> part of it".to_owned()));
    assert_eq!(commands.pass_on(&mut keyboard).await, None);
    assert_eq!(read(&mut game, 20).await, "\n\u{fffd}\0\u{fffd}\npart of it\n");
}

#[tokio::test]
async fn closed_console_is_noted() {
    let bench = Bench::new();
    let mut commands = Commands::receive(&bench.path()).expect("a FIFO");
    let (mut keyboard, game) = pipe().expect("a pipe");
    drop(game);
    assert_eq!(send(&bench.path(), "anybody?"), Ok(()));
    assert_eq!(commands.pass_on(&mut keyboard).await, Some("> anybody?".to_owned()));
    let note = commands.pass_on(&mut keyboard).await.expect("a note");
    assert!(note.contains("was not taken"), "{note}");
}

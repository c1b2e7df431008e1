use proptest::prelude::*;

use super::*;

/// Returns the new text of each output, without a pause.
fn news(terminal: &mut Terminal) -> Vec<String> {
    std::iter::from_fn(|| terminal.output()).map(|output| output.news().to_owned()).collect()
}

/// Reads the chunks one after the other, and the end.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut terminal = Terminal::default();
    let mut lines = vec![];
    for chunk in chunks {
        terminal.write(chunk);
        lines.extend(news(&mut terminal));
    }
    terminal.end();
    lines.extend(news(&mut terminal));
    lines
}

/// Reads the chunks with a pause after each, and returns the new text that each made visible.
fn with_pauses(chunks: &[&str]) -> Vec<Vec<String>> {
    let mut terminal = Terminal::default();
    let shown = chunks.iter().map(|chunk| {
        terminal.write(chunk.as_bytes());
        let mut lines = news(&mut terminal);
        terminal.pause();
        lines.extend(news(&mut terminal));
        lines
    });
    shown.collect()
}

fn le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn be(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[test]
fn terminal_codes_vanish() {
    for (written, line) in [
        ("\x1b[32mServer is up\x1b[0m", "Server is up"),
        ("\x1b[38;2;1;2;3mS\x1b[1;4merver\x1b[m is up", "Server is up"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\text \x1b_apc\x1b\\more", "text more"),
        ("\x1b(Btext\x1b)0 \x1b=more\x1b7", "text more"),
        ("\x1b[?25ltext\x1b[?2004h", "text"),
        ("a\0b\x07c\x0bd\x0ce\x7ff\u{85}g\u{9b}h", "abcdefgh"),
        ("\u{feff}text", "text"),
        ("\x1b[31", ""),
        ("é \u{1f600}\x1b[0m é", "é \u{1f600} é"),
        ("a\tb\t\tc", "a       b               c"),
    ] {
        assert_eq!(read([format!("{written}\n").as_bytes()]), [line], "{written:?}");
    }
}

#[test]
fn redrawn_line_has_its_last_state() {
    for (written, line) in [
        ("  1%\r 50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("text\r\r", "text"),
        ("working...\rdone      ", "done"),
        ("working...\r\x1b[Kdone", "done"),
        ("working...\x1b[2K\rdone", "done"),
        ("working...\r\x1b[2Kdone", "done"),
        ("working...\x1b[1G\x1b[0Jdone", "done"),
        ("|\x08/\x08-\x08\\\x08 done", " done"),
        ("passwort\x08d", "password"),
        ("\x08\x08text", "text"),
        ("abcdef\x1b[4DX", "abXdef"),
        ("ab\x1b[3Cc", "ab   c"),
        ("\x1b[65535Cx\x1b[65535Cy", &format!("{}y", " ".repeat(199) + "x")),
    ] {
        assert_eq!(read([format!("{written}\n").as_bytes()]), [line], "{written:?}");
    }
}

#[test]
fn move_to_another_line_ends_the_line() {
    assert_eq!(read([b"\x1b[2J\x1b[Hone\x1b[2;1Htwo\x1b[1Athree\n".as_slice()]), ["one", "two", "three"]);
}

#[test]
fn broken_escape_hides_its_line_at_most() {
    let text = "before \x1b]0;never ended\nnext\n\x1bPq never ended\nlast\x1b[\n\x1b";
    assert_eq!(read([text.as_bytes()]), ["before ", "next", "", "last"]);
}

#[test]
fn utf_16_is_text() {
    let text =
        "Server is up\r\n\r\nСервер запущен\r\nЗапущен\n\nйога é \u{1f600}\n服务器已启动 上海 (1)\r\n服务器已启动\r\n";
    let lines: Vec<_> = text.lines().collect();
    let bom = format!("\u{feff}{text}");
    for written in [le(text), be(text), le(&bom), be(&bom), bom.as_bytes().to_vec()] {
        assert_eq!(read([written.as_slice()]), lines, "{written:x?}");
    }
    // A stream in text mode adds a byte for the carriage return.
    let mangled: Vec<_> = ["Ready", "Готово"].iter().flat_map(|line| [le(line), b"\r\n\0".to_vec()].concat()).collect();
    assert_eq!(read([mangled.as_slice()]), ["Ready", "Готово"]);
    let colours = le("\u{1b}[32mServer\u{1b}[0m is up\r\n");
    assert_eq!(read([colours.as_slice()]), ["Server is up"]);
}

#[test]
fn each_line_has_its_own_encoding() {
    let mixed =
        [b"wine: fixme\n".to_vec(), le("Привет\r\n"), b"caf\xc3\xa9 caf\xe9\n".to_vec(), le("Ready\r\n")].concat();
    assert_eq!(read([mixed.as_slice()]), ["wine: fixme", "Привет", "café caf\u{fffd}", "Ready"]);
    let mixed = [be("Привет\n"), b"plain\n".to_vec(), be("Ready\n")].concat();
    assert_eq!(read([mixed.as_slice()]), ["Привет", "plain", "Ready"]);
}

#[test]
fn broken_bytes_are_replaced() {
    for (written, line) in [
        (b"caf\xe9 au lait\n".as_slice(), "caf\u{fffd} au lait"),
        (b"\xff\xf0\x9f ok\n", "\u{fffd}\u{fffd} ok"),
        (b"cut \xe2\x82\n", "cut \u{fffd}"),
        (b"cut \xe2\x82", "cut \u{fffd}"),
        (b"C string\0\n", "C string"),
        (b"a\0\0\0\0\0\0\n", "a"),
        (b"ok\0\n", "ok"),
    ] {
        assert_eq!(read([written]), [line], "{written:x?}");
    }
    let lone = [0x41, 0, 0x42, 0, 0x3d, 0xd8, 0x43, 0, 0x0a, 0];
    assert_eq!(read([lone.as_slice()]), ["AB\u{fffd}C"]);
}

#[test]
fn prompt_is_shown_and_its_rest_is_not_lost() {
    assert_eq!(
        with_pauses(&["> ", "saved", " ", "\n", "next\n"]),
        [vec!["> "], vec!["saved"], vec![], vec![], vec!["next"]]
    );
    assert_eq!(with_pauses(&["> ", "\r\x1b[K[12:00] saved\n> "]), [vec!["> "], vec!["[12:00] saved", "> "]]);
    assert_eq!(with_pauses(&["10%\r", "20%\r", "20%\r", "\n"]), [vec!["10%"], vec!["20%"], vec![], vec![]]);
    assert_eq!(with_pauses(&["1%", "\r12%", "\r\x1b[K\n"]), [vec!["1%"], vec!["12%"], vec![]]);
    assert_eq!(with_pauses(&["\n", "", "\n"]), [vec![""], vec![], vec![""]]);
}

#[test]
fn half_of_a_character_or_escape_waits_over_a_pause() {
    assert_eq!(with_pauses(&["a\x1b[3", "2mb\n"]), [vec!["a"], vec!["b"]]);
    let mut terminal = Terminal::default();
    let mut shown = vec![];
    for chunk in [b"10 \xe2\x82".as_slice(), b"\xac!\n", b"A\0B\0\x3d\xd8", b"\0\xde\r\0\n", b"\0"] {
        terminal.write(chunk);
        terminal.pause();
        shown.push(news(&mut terminal));
        assert_eq!(terminal.patience(), None, "nothing to wait for");
    }
    assert_eq!(shown, [vec!["10 "], vec!["€!"], vec!["AB"], vec!["\u{1f600}"], vec![]]);
}

#[test]
fn whole_line_is_known_after_a_pause() {
    let mut terminal = Terminal::default();
    terminal.write(b"Server is");
    assert_eq!((terminal.output(), terminal.patience()), (None, Some(MOMENT)));
    terminal.pause();
    assert_eq!(terminal.output().map(|output| output.line().to_owned()).as_deref(), Some("Server is"));
    terminal.write(b" up\n");
    let output = terminal.output().expect("the rest");
    assert_eq!((output.line(), output.news()), ("Server is up", " up"));
    assert_eq!(terminal.patience(), None);
    terminal.write(b"10%\r");
    assert_eq!((terminal.output(), terminal.patience()), (None, Some(MOMENT_OF_REDRAWN)));
}

#[test]
fn long_lines_come_in_pieces() {
    let long = "é".repeat(LINE_BYTES);
    let pieces = read([[long.as_bytes(), b"xx\r\nnext"].concat().as_slice()]);
    assert_eq!(pieces.concat(), format!("{long}xxnext"));
    assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES, LINE_BYTES, 2, 4]);
    assert_eq!(read([le(&long).as_slice()]).concat(), long);
}

#[test]
fn line_of_a_container_is_one_text() {
    let mut terminal = Terminal::default();
    for (written, line) in [
        (b"\x1b[32mup\x1b[0m\r".to_vec(), "up"),
        (le("Готово\r"), "Готово"),
        ([b"\0".to_vec(), le("Ждём\r")].concat(), "Ждём"),
        (b"\0plain".to_vec(), "plain"),
        (b"one\x1b[2;1Htwo".to_vec(), "one two"),
        (b"".to_vec(), ""),
        (b"cut \xe2".to_vec(), "cut \u{fffd}"),
    ] {
        assert_eq!(terminal.line(&[], &written, true).as_deref(), Some(line));
    }
}

/// Bytes as hostile games write them.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\r",
            "\x1b",
            "\x1b[",
            "\x1b[2K",
            "\x1b[9999C",
            "\x1b[40D",
            "\x1b]0;",
            "\x07",
            "\x1bP",
            "\t",
            "\x08",
            "\x1b[1;1H",
            "é",
            "\u{1f600}",
            "\u{feff}",
            "ready",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        "[a-zа-я上晚]{1,9}\r?\n".prop_map(|text| le(&text)),
        "[a-zа-я上晚]{1,9}\r?\n".prop_map(|text| be(&text)),
        (0..300_usize).prop_map(|length| vec![b'x'; length * 60]),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter(bytes in hostile(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let edges: Vec<_> = [0].into_iter().chain(cuts).chain([bytes.len()]).collect();
        let chunks = edges.windows(2).map(|edge| &bytes[edge[0]..edge[1]]);
        prop_assert_eq!(read(chunks), read([bytes.as_slice()]));
    }

    #[test]
    fn text_is_storable_and_memory_bounded(chunks in prop::collection::vec((hostile(), any::<bool>()), 0..5)) {
        let mut terminal = Terminal::default();
        for (chunk, is_silent) in chunks {
            terminal.write(&chunk);
            if is_silent {
                terminal.pause();
            }
            while let Some(output) = terminal.output() {
                prop_assert!(!output.line().contains(char::is_control), "{output:?}");
                prop_assert!(output.line().len() < LINE_BYTES + 4 && output.line().ends_with(output.news()));
            }
            prop_assert!(terminal.bytes.len() - terminal.read <= LINE_BYTES);
        }
    }
}

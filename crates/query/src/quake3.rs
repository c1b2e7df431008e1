//! `getstatus` of Quake 3, and of the games that are made of it.

use std::net::SocketAddr;

use agis_servers::players::Players;

use crate::{QueryError, udp::Udp};

/// Beginning of every message outside a connection.
pub(crate) const OUT_OF_BAND: &[u8] = &[0xff; 4];

pub(crate) async fn players(address: SocketAddr) -> Result<Players, QueryError> {
    let challenge = format!("{:016x}", fastrand::u64(..));
    let request = [OUT_OF_BAND, b"getstatus ", challenge.as_bytes(), b"\n"].concat();
    Udp::connect(address).await?.ask(&request, |datagram| status(datagram, &challenge)).await
}

/// Reads a status; `None` if it answers another challenge.
fn status(datagram: &[u8], challenge: &str) -> Option<Result<Players, QueryError>> {
    let text = datagram.strip_prefix(OUT_OF_BAND)?.strip_prefix(b"statusResponse\n")?;
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let info = lines.next().unwrap_or_default();
    (value(info, "challenge")? == challenge).then(|| read(info, lines))
}

/// Returns the value of a key in `\key\value\key\value`.
fn value<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    let mut parts = info.strip_prefix('\\')?.split('\\');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        if name.eq_ignore_ascii_case(key) {
            return Some(value);
        }
    }
    None
}

fn read<'a>(info: &str, lines: impl Iterator<Item = &'a str>) -> Result<Players, QueryError> {
    let names: Option<Vec<_>> = lines.filter(|line| !line.is_empty()).map(name).collect();
    let names = names.ok_or(QueryError::Malformed("a line of a player has no name in quotes"))?;
    let max = value(info, "sv_maxclients").and_then(|max| max.parse().ok());
    let online = u32::try_from(names.len()).unwrap_or(u32::MAX);
    Ok(Players::new(online, max, Some(names)))
}

/// Returns the name in `score ping "name"`, without its colours (`^1`).
fn name(line: &str) -> Option<String> {
    let (_, quoted) = line.split_once('"')?;
    let (name, _) = quoted.rsplit_once('"')?;
    let mut plain = String::with_capacity(name.len());
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '^' && letters.peek().is_some_and(|next| *next != '^') {
            letters.next();
        } else {
            plain.push(letter);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn datagram(text: &str) -> Vec<u8> {
        [OUT_OF_BAND, b"statusResponse\n", text.as_bytes()].concat()
    }

    #[test]
    fn status_names_the_players() {
        let text = "\\sv_hostname\\a\\sv_maxclients\\16\\challenge\\c\n5 48 \"^1Red^7Baron\"\n0 0 \"Sarge\"\n";
        let players = status(&datagram(text), "c").expect("an answer").expect("well-formed");
        let names = Some(vec!["RedBaron".to_owned(), "Sarge".to_owned()]);
        assert_eq!((players.online, players.max, players.names), (2, Some(16), names));
        let nobody = status(&datagram("\\challenge\\c\n"), "c").expect("an answer").expect("well-formed");
        assert_eq!((nobody.online, nobody.max, nobody.names), (0, None, Some(vec![])));
    }

    #[test]
    fn status_for_another_challenge_is_no_answer() {
        for text in ["\\challenge\\d\n", "\\sv_maxclients\\16\n", "", "challenge\\c", "\\x\\challenge\\c\\y"] {
            assert!(status(&datagram(text), "c").is_none(), "{text}");
        }
        assert!(status(b"statusResponse\n\\challenge\\c\n", "c").is_none());
    }

    #[test]
    fn player_without_quotes_is_malformed() {
        for line in ["5 48 Sarge", "5 48 \"Sarge", "garbage"] {
            assert!(
                status(&datagram(&format!("\\challenge\\c\n{line}\n")), "c").expect("an answer").is_err(),
                "{line}"
            );
        }
    }

    #[test]
    fn colours_go_and_carets_stay() {
        for (line, plain) in [("0 0 \"^^1a\"", "^a"), ("0 0 \"a^\"", "a^"), ("0 0 \"a\"b\"", "a\"b"), ("0 0 \"\"", "")]
        {
            assert_eq!(name(line).as_deref(), Some(plain), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = status(&[OUT_OF_BAND, b"statusResponse\n\\challenge\\c\n", &bytes].concat(), "c");
            let _ = status(&bytes, "c");
        }
    }
}

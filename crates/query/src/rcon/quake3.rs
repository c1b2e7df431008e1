use std::{net::SocketAddr, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{ANSWER_MAX, RconError};
use crate::{QueryError, quake3::OUT_OF_BAND, udp::Udp};

/// Silence after which an answer is over: the protocol marks no end.
const SILENCE: Duration = Duration::from_millis(250);
/// Maximum length of a message that the game reads.
const MESSAGE: usize = 1024;

pub(super) async fn tell(
    address: SocketAddr,
    password: &str,
    command: &str,
    deadline: Instant,
) -> Result<Vec<u8>, RconError> {
    if password.is_empty() || password.contains(|letter: char| letter.is_whitespace() || "\";\\".contains(letter)) {
        return Err(RconError::Unsendable("the password must have neither spaces nor quotes"));
    }
    let request = [OUT_OF_BAND, b"rcon ", password.as_bytes(), b" ", command.as_bytes()].concat();
    if request.len() > MESSAGE {
        return Err(RconError::Unsendable("it must be shorter"));
    }
    let unreachable = |error: QueryError| match error {
        QueryError::Unreachable(error) => RconError::Unreachable(error),
        other => RconError::Unreachable(std::io::Error::other(other)),
    };
    let mut udp = Udp::connect(address).await.map_err(unreachable)?;
    udp.send(&request).await.map_err(unreachable)?;
    let mut answer: Option<Vec<u8>> = None;
    let mut until = deadline;
    while answer.as_ref().is_none_or(|answer| answer.len() < ANSWER_MAX) {
        match timeout_at(until, udp.receive()).await {
            Ok(Ok(datagram)) => {
                let Some(text) = datagram.strip_prefix(OUT_OF_BAND).and_then(|rest| rest.strip_prefix(b"print\n"))
                else {
                    continue;
                };
                answer.get_or_insert_default().extend_from_slice(text);
                until = deadline.min(Instant::now() + SILENCE);
            }
            // Nobody listens at the port, so nothing was run.
            Ok(Err(error)) if answer.is_none() => return Err(unreachable(error)),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let mut answer = answer.ok_or_else(|| RconError::Unanswered("nothing came in time".to_owned()))?;
    let is_refusal = [b"Bad rconpassword".as_slice(), b"No rconpassword set"].iter().any(|it| answer.starts_with(it));
    if is_refusal {
        return Err(RconError::Password);
    }
    answer.truncate(ANSWER_MAX);
    Ok(answer)
}

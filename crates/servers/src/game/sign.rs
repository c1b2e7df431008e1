//! Sign on a console that players can join.

/// Checks whether a line of the console is the sign. A tab in the sign stands for blanks, since the console has none.
pub fn is_sign(line: &str, sign: &str) -> bool {
    let blanks = |text: &str| text.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.contains(sign) || sign.contains('\t') && blanks(line).contains(&blanks(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_of_a_sign_is_any_blanks() {
        assert!(is_sign("[12:00] Server  is up!", "Server  is up") && !is_sign("Server  is up", "Server is up"));
        assert!(is_sign("Server  is up", "Server\tis") && !is_sign("Serveris up", "Server\tis"));
    }
}

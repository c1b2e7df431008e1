//! Removes what engines left that were killed: processes, mounts, folders, bridges and rules of the firewall. A forgotten
//! rule would send the connections of others to an address that nobody has, and forgotten bridges use up the networks.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::home::Number;

/// Tables of the firewall that engines use.
const TABLES: [&str; 2] = ["nat", "filter"];

/// Removes what no living engine owns. The caller has the turn. A failure leaves things for the next run.
pub(super) fn remove() {
    let living: BTreeSet<_> = Number::all().filter(|number| number.is_taken()).collect();
    let is_dead = |number: Number| !living.contains(&number);
    end_processes(is_dead);
    unmount(is_dead);
    for dir in Number::all().filter(|number| is_dead(*number)).map(Number::dir).filter(|dir| dir.exists()) {
        run(Command::new("rm").arg("-rf").arg(dir));
    }
    if rustix::process::geteuid().is_root() {
        remove_namespaces(is_dead);
        let bridges = remove_bridges(is_dead);
        for table in TABLES {
            let rules = output(Command::new("iptables").args(["-w", "10", "-t", table, "-S"]));
            restore(table, &removal(&rules, is_dead, &bridges));
        }
    }
}

/// Ends engines, their helpers, and the programs of their containers.
fn end_processes(is_dead: impl Fn(Number) -> bool) {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in all.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)) {
        let proc = format!("/proc/{}", pid.as_raw_nonzero());
        let command = fs::read(format!("{proc}/cmdline")).unwrap_or_default();
        let mounts = fs::read_to_string(format!("{proc}/mountinfo")).unwrap_or_default();
        let named = Number::within(&String::from_utf8_lossy(&command));
        if named.or_else(|| root(&mounts)).is_some_and(&is_dead) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Returns the engine whose files are the root of a process with these mounts.
fn root(mounts: &str) -> Option<Number> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (source, place) = (fields.next()?, fields.next()?);
        (place == "/").then(|| Number::within(source))?
    })
}

fn unmount(is_dead: impl Fn(Number) -> bool) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    // The last mount may be within an earlier one.
    for place in places.filter(|place| Number::within(place).is_some_and(&is_dead)).collect::<Vec<_>>().iter().rev() {
        run(Command::new("umount").args(["--lazy", place]));
    }
}

/// Removes network namespaces of containers, which Podman keeps elsewhere.
fn remove_namespaces(is_dead: impl Fn(Number) -> bool) {
    let all = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in all.filter_map(|entry| entry.file_name().into_string().ok()).filter(|it| it.starts_with("netns-")) {
        let addresses = output(Command::new("ip").args(["-netns", &name, "-4", "-oneline", "address", "show"]));
        let mut words = addresses.split_ascii_whitespace();
        if words.any(|word| engine(word).is_some_and(&is_dead)) {
            run(Command::new("ip").args(["netns", "delete", &name]));
        }
    }
}

/// Returns the names of the removed bridges.
fn remove_bridges(is_dead: impl Fn(Number) -> bool) -> BTreeSet<String> {
    let addresses = output(Command::new("ip").args(["-4", "-oneline", "address", "show"]));
    let bridges: BTreeSet<_> = addresses.lines().filter_map(|line| bridge(line, &is_dead)).map(str::to_owned).collect();
    for bridge in &bridges {
        run(Command::new("ip").args(["link", "delete", bridge]));
    }
    bridges
}

/// Returns the bridge of a line of ip(8), if a dead engine made it.
fn bridge(line: &str, is_dead: impl Fn(Number) -> bool) -> Option<&str> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (name, address) = (words.next()?, words.nth(1)?);
    let is_bridge = name.starts_with("br-") || name.starts_with("podman");
    (is_bridge && engine(address).is_some_and(is_dead)).then_some(name)
}

/// Returns the engine of the first address in a word such as `10.208.0.0/28` or `10.208.0.2:80`.
fn engine(word: &str) -> Option<Number> {
    Number::of_address(word.split(['/', ':']).next()?.parse::<Ipv4Addr>().ok()?)
}

/// Returns lines for iptables-restore(8) that remove every rule with an address of a dead engine or one of these bridges, and
/// the chains that only such an address uses.
fn removal(rules: &str, is_dead: impl Fn(Number) -> bool, bridges: &BTreeSet<String>) -> String {
    let is_doomed =
        |rule: &str| rule.split(' ').any(|word| engine(word).is_some_and(&is_dead) || bridges.contains(word));
    let chain = |rule: &'_ str| rule.strip_prefix("-A ")?.split(' ').next().map(str::to_owned);
    let doomed = rules.lines().filter(|rule| is_doomed(rule)).filter_map(chain);
    let chains: BTreeSet<_> = doomed.filter(|name| is_of_a_network(name)).collect();
    let is_in_chain = |rule: &str| rule.split(' ').any(|word| chains.contains(word));
    let mut lines = String::new();
    for rule in rules.lines().filter_map(|rule| rule.strip_prefix("-A ")) {
        if is_doomed(rule) || is_in_chain(rule) {
            lines.extend(["-D ", rule, "\n"]);
        }
    }
    for chain in &chains {
        lines.extend(["-X ", chain, "\n"]);
    }
    lines
}

/// Checks whether Podman made this chain for one network: its name ends with a hash.
fn is_of_a_network(chain: &str) -> bool {
    let hash = chain.strip_prefix("NETAVARK-").map(|name| name.strip_prefix("DN-").unwrap_or(name));
    hash.is_some_and(|hash| hash.len() > 8 && hash.chars().all(|letter| letter.is_ascii_hexdigit()))
}

fn restore(table: &str, lines: &str) {
    if lines.is_empty() {
        return;
    }
    let mut command = Command::new("iptables-restore");
    command.args(["-w", "10", "--noflush"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return };
    if let Some(mut input) = child.stdin.take() {
        let _ = write!(input, "*{table}\n{lines}COMMIT\n");
    }
    let _ = child.wait();
}

fn run(command: &mut Command) {
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAT: &str = r#"-P POSTROUTING ACCEPT
-N DOCKER
-N NETAVARK-1D8721804F16F
-N NETAVARK-DN-1D8721804F16F
-N NETAVARK-HOSTPORT-DNAT
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.208.4.0/28 -m comment --comment "name: agis-1 id: f00" -j NETAVARK-1D8721804F16F
-A POSTROUTING -s 10.208.8.0/28 ! -o br-0123456789ab -j MASQUERADE
-A DOCKER ! -i br-0123456789ab -p tcp -m tcp --dport 31700 -j DNAT --to-destination 10.208.8.2:25565
-A DOCKER ! -i br-ba9876543210 -p tcp -m tcp --dport 31701 -j DNAT --to-destination 172.18.0.2:25565
-A NETAVARK-1D8721804F16F -d 10.208.4.0/28 -j ACCEPT
-A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE
-A NETAVARK-DN-1D8721804F16F -p tcp -m tcp --dport 31702 -j DNAT --to-destination 10.208.4.2:25565
-A NETAVARK-HOSTPORT-DNAT -p tcp -m tcp --dport 31702 -m comment --comment "dnat name: agis-1 id: f00" -j NETAVARK-DN-1D8721804F16F
"#;

    #[test]
    fn rules_of_dead_engines_go() {
        let removed = removal(NAT, |_| true, &BTreeSet::from(["br-0123456789ab".to_owned()]));
        let kept = ["-j DOCKER", "172.18.0.2"];
        let rules =
            NAT.lines().filter_map(|line| line.strip_prefix("-A ")).filter(|it| !kept.iter().any(|k| it.contains(k)));
        let expected: String = rules.map(|rule| format!("-D {rule}\n")).collect();
        assert_eq!(removed, expected + "-X NETAVARK-1D8721804F16F\n-X NETAVARK-DN-1D8721804F16F\n");
    }

    #[test]
    fn rules_of_living_engines_stay() {
        assert_eq!(removal(NAT, |_| false, &BTreeSet::new()), "");
        let line = "7: br-0123456789ab    inet 10.208.8.1/28 brd 10.208.8.15 scope global br-0123456789ab";
        assert_eq!((bridge(line, |_| true), bridge(line, |_| false)), (Some("br-0123456789ab"), None));
        assert_eq!(bridge("2: eth0    inet 10.208.8.1/28 brd 10.208.8.15 scope global eth0", |_| true), None);
    }

    #[test]
    fn root_names_the_engine_of_a_container() {
        let mounts =
            "1 0 0:1 /tmp/agis-engine-3/data/vfs/dir/a / rw - ext4 /dev/vda rw\n2 1 0:2 / /proc rw - proc proc rw";
        assert_eq!(root(mounts), Number::within("/tmp/agis-engine-3/x"));
        assert_eq!(
            root("1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:1 /tmp/agis-engine-3/x /data rw - ext4 /dev/vda rw"),
            None
        );
    }
}

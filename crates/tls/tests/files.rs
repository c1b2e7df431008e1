//! Files as operators keep them: what is wrong with one is told by its setting's name.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use agis_local_services::certificates::{Authority, Issued};
use agis_tls::{Client, Fault, Identity, Trust, Words};
use tempfile::TempDir;

const WORDS: Words = Words { ca: "ca", certificate: "certificate", key: "key" };

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, name: &str, content: &str, mode: u32) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("permissions");
        path.display().to_string()
    }
}

fn issued() -> Issued {
    Authority::new("test").and_then(|ca| ca.client("agis")).expect("a certificate")
}

/// The errors about a certificate and its key.
fn showing(certificate: &str, key: &str) -> Result<bool, Vec<String>> {
    let identity = Identity { certificate: Some(certificate), key: Some(key) };
    let client = Client::new(WORDS, Trust::Anybody, identity);
    let told = |faults: Vec<Fault>| faults.iter().map(|fault| format!("{}: {}", fault.setting, fault.why)).collect();
    client.map(|client| client.is_known()).map_err(told)
}

#[test]
fn key_matches_its_certificate() {
    let (folder, ours, other) = (Folder::new(), issued(), issued());
    let certificate = folder.file("certificate", &ours.certificate, 0o644);
    let key = |name: &str, content: &str| folder.file(name, content, 0o600);
    assert_eq!(showing(&certificate, &key("key", &ours.key)), Ok(true));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (content, why) in [
        (&*other.key, &*format!("key: is not the key of certificate={certificate}")),
        (&ours.certificate, "key: has no private key in PEM form"),
        ("", "key: has no private key in PEM form"),
        (encrypted, "key: is encrypted: decrypt it"),
    ] {
        let told = showing(&certificate, &key("key", content)).expect_err(why);
        assert!(told.len() == 1 && told[0].starts_with(why), "{told:?}");
    }
    let told = showing(&key("key", &ours.key), "/nowhere").expect_err("two errors");
    assert!(told[0].starts_with("certificate: has no certificate in PEM form"), "{told:?}");
    assert!(told[1].starts_with("key: No such file"), "{told:?}");
}

#[test]
fn key_is_readable_by_its_owner_or_roots_group() {
    let (folder, ours) = (Folder::new(), issued());
    let certificate = folder.file("certificate", &ours.certificate, 0o644);
    let is_root = std::fs::metadata(&certificate).map(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0);
    let is_root = is_root.expect("a file");
    for (mode, may) in [(0o600, true), (0o400, true), (0o640, is_root), (0o660, false), (0o604, false), (0o644, false)]
    {
        let told = showing(&certificate, &folder.file("key", &ours.key, mode));
        match may {
            true => assert_eq!(told, Ok(true), "{mode:o}"),
            false => {
                let told = told.expect_err("open to others").join(" ");
                assert!(told.starts_with(&format!("key: is open to others (mode {mode:04o}): chmod 0600")), "{told}");
            }
        }
    }
    let told = showing(&certificate, &folder.0.path().display().to_string()).expect_err("a folder");
    assert_eq!(told, ["key: is not a regular file"]);
}

#[test]
fn a_file_of_cas_has_some() {
    let folder = Folder::new();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (content, why) in [("", "has no certificate in PEM form"), (garbage, "has a certificate that is none")] {
        let file = folder.file("ca", content, 0o644);
        let faults = Client::new(WORDS, Trust::Signed(&file), Identity::default()).expect_err(why);
        assert!(faults.len() == 1 && faults[0].to_string().starts_with(&format!("ca={file}: {why}")), "{faults:?}");
    }
    let several: String = [issued(), issued()].iter().map(|issued| issued.certificate.clone()).collect();
    let file = folder.file("ca", &several, 0o644);
    let client = Client::new(WORDS, Trust::Named(&file), Identity::default()).expect("two CAs");
    assert!(client.is_checking() && !client.is_known());
    // The machine's, or the copy in the program.
    assert!(Client::new(WORDS, Trust::Named(Client::SYSTEM), Identity::default()).is_ok());
}

use std::sync::LazyLock;

use proptest::prelude::*;
use quick_xml::events::Event;
use serde_json::Value;
use sha_crypt::{PasswordHash, PasswordVerifier as _, ShaCrypt};

use super::*;
use crate::systems::Catalogue;

const SOURCE: &str = "http://mirror.example.org/tree";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8sOLkyiUvbzY5eZ0nUkKj9pTq1 me@here";

/// Read once: the properties ask hundreds of times.
static SYSTEMS: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::built_in().unwrap());

fn written(answers: &Answers, system: &str, install: Install) -> Result<String, Error> {
    let files = answers.files(SYSTEMS.find(system)?, install)?;
    Ok(files.into_iter().next().unwrap().text)
}

/// Whether a hash is that of a password.
fn fits(password: &str, hash: &str) -> bool {
    let hash = PasswordHash::new(hash).unwrap();
    ShaCrypt::SHA512.verify_password(password.as_bytes(), &hash).is_ok()
}

/// What the rest of the line is that begins like this, once.
fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(beginning));
    let first = found.next().unwrap_or_else(|| panic!("no {beginning:?} in {text}"));
    assert_eq!(found.next(), None, "{beginning}");
    first
}

/// The texts of all elements of this name, as a reader of XML has them.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut found, mut open) = (Vec::new(), None::<String>);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) if start.name().as_ref() == name => {
                open = Some(String::new());
            }
            Event::Text(text) => {
                if let Some(open) = &mut open {
                    open.push_str(&text);
                }
            }
            Event::GeneralRef(entity) => {
                if let Some(open) = &mut open {
                    let entity = format!("&{};", &*entity);
                    open.push_str(&quick_xml::escape::unescape(&entity).unwrap());
                }
            }
            Event::End(end) if end.name().as_ref() == name => found.extend(open.take()),
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.strip_prefix("#cloud-config\n").unwrap_or(text)).unwrap()
}

#[test]
fn every_system_that_has_an_installer_can_be_answered() {
    let answers = Answers::new("guest1", "secret").user("tester").source(SOURCE).ssh_key(KEY);
    let mut written = 0;
    for system in &Catalogue::built_in().unwrap() {
        for install in system.installs() {
            let files = answers.files(system, install);
            let older = ["Windows XP", "Windows 2000", "Windows Server 2003"];
            let none =
                matches!(install, Install::CloudConfig | Install::Jumpstart | Install::Template)
                    || older.contains(&system.family.as_str());
            match files {
                Ok(files) => {
                    assert!(!none, "{}", system.name);
                    assert!(files[0].text.contains("guest1"), "{}", system.name);
                    assert!(files.iter().all(|file| file.text.ends_with('\n')), "{}", system.name);
                    written += 1;
                }
                Err(error) => assert!(none, "{}: {error}", system.name),
            }
        }
    }
    assert!(written > 150, "{written}");
}

#[test]
fn a_way_that_a_system_is_not_installed_in_is_refused_with_those_that_it_is() {
    let error = written(&Answers::new("a", "b"), "debian12", Install::Kickstart).unwrap_err();
    assert!(error.to_string().contains("cloud-init or preseed"), "{error}");
    let error = written(&Answers::new("a", "b"), "alma9", Install::Kickstart).unwrap_err();
    assert!(error.to_string().contains("set `source`"), "{error}");
}

#[test]
fn what_cannot_be_told_to_an_installer_is_refused() {
    let told =
        |answers: Answers| written(&answers, "debian12", Install::Preseed).unwrap_err().to_string();
    let right = || Answers::new("a", "b");
    assert!(told(Answers::new("a b", "x")).contains("letters, digits and `-`"));
    assert!(told(Answers::new("a", "x\ny")).contains("control characters"));
    assert!(!told(Answers::new("a", "hunter2\n")).contains("hunter2"));
    assert!(told(right().user("root")).contains("has it for itself"));
    assert!(
        told(right().ssh_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA'; reboot")).contains("ssh key")
    );
    assert!(told(right().source("file:///etc")).contains("http, https or ftp"));
    assert!(told(right().package("a;b")).contains("a package"));
    assert!(told(right().timezone("UTC\nd-i x y z")).contains("time zone"));
    let [address, gateway] = [Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 0, 1, 1)];
    let fixed = |prefix| Addressing::Fixed { address, prefix, gateway, nameserver: None };
    assert!(told(right().addressing(fixed(24))).contains("in another network"));
    assert!(told(right().addressing(fixed(0))).contains("from 1 to 32"));
    assert!(written(&right().addressing(fixed(16)), "debian12", Install::Preseed).is_ok());
}

#[test]
fn names_of_windows_are_its_own() {
    let told = |host: &str, user: &str| {
        let answers = Answers::new(host, "Passw0rd").user(user);
        written(&answers, "ws2022", Install::Autounattend).map_err(|error| error.to_string())
    };
    assert!(told("a-name-of-16-chr", "tester").unwrap_err().contains("1 to 15"));
    assert!(told("host", "administrator").unwrap_err().contains("has it for itself"));
    assert!(told("Host", "host").unwrap_err().contains("name of the computer"));
    assert_eq!(elements(&told("host", "tester").unwrap(), "Name"), ["tester"]);
}

#[test]
fn a_fixed_address_reaches_every_installer() {
    let answers = Answers::new("guest1", "secret").source(SOURCE).addressing(Addressing::Fixed {
        address: Ipv4Addr::new(10, 20, 30, 40),
        prefix: 22,
        gateway: Ipv4Addr::new(10, 20, 28, 1),
        nameserver: Some(Ipv4Addr::new(9, 9, 9, 9)),
    });
    for (system, install, mask) in [
        ("debian12", Install::Preseed, "255.255.252.0"),
        ("debian12", Install::CloudInit, "10.20.30.40/22"),
        ("noble", Install::Autoinstall, "10.20.30.40/22"),
        ("rhel5", Install::Kickstart, "--netmask=255.255.252.0"),
        ("alma9", Install::Kickstart, "--netmask=255.255.252.0"),
        ("sles15", Install::Autoyast, "255.255.252.0"),
        ("ws2022", Install::Autounattend, "10.20.30.40/22"),
    ] {
        let systems = Catalogue::built_in().unwrap();
        let files = answers.files(systems.find(system).unwrap(), install).unwrap();
        let all: String = files.into_iter().map(|file| file.text).collect();
        for part in ["10.20.30.40", "10.20.28.1", "9.9.9.9", mask] {
            assert!(all.contains(part), "{system} {install}: no {part} in {all}");
        }
    }
}

#[test]
fn netmasks_are_those_of_their_prefixes() {
    let told = |prefix| Addressing::netmask(prefix).to_string();
    assert_eq!(
        [told(0), told(1), told(22), told(32)],
        ["0.0.0.0", "128.0.0.0", "255.255.252.0", "255.255.255.255"]
    );
}

#[test]
fn windows_11_gets_a_disk_for_uefi_and_older_ones_one_for_a_bios() {
    let types = |system| {
        let text = written(&Answers::new("a", "b"), system, Install::Autounattend).unwrap();
        assert_eq!(
            elements(&text, "PartitionID").last().unwrap(),
            &elements(&text, "Type").len().to_string()
        );
        elements(&text, "Type")
    };
    assert_eq!(types("win11"), ["EFI", "MSR", "Primary"]);
    assert_eq!(types("win7sp1-x86"), ["Primary", "Primary"]);
}

/// Passwords that quoting goes wrong with, and any.
fn passwords() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("it's a \"secret\" $(id) `id` \\ # % & < > ]]> --iscrypted".to_owned()),
        Just(" leading and trailing ".to_owned()),
        Just("größe-пароль-密码".to_owned()),
        "[ -~]{1,40}",
        any::<String>(),
    ]
}

/// Names that would be taken, and any.
fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z][a-z0-9-]{0,30}", "[ -~]{0,24}", any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each is refused, or what the installer reads is the password.
    #[test]
    fn every_password_arrives_or_is_refused(password in passwords()) {
        let answers = Answers::new("guest", password.as_str()).source(SOURCE);
        let right = valid::password(&password).is_ok();
        let of = |system, install| {
            let text = written(&answers, system, install);
            assert!(right || text.is_err(), "{password:?} was taken");
            text.ok()
        };
        let preseed = of("debian12", Install::Preseed);
        prop_assert_eq!(preseed.is_some(), right);
        if let Some(text) = preseed {
            prop_assert!(fits(&password, line(&text, "d-i passwd/root-password-crypted password ")));
        }
        if let Some(text) = of("debian12", Install::CloudInit) {
            prop_assert!(fits(&password, json(&text)["users"][0]["hashed_passwd"].as_str().unwrap()));
        }
        if let Some(text) = of("noble", Install::Autoinstall) {
            let hash = &json(&text)["autoinstall"]["identity"]["password"];
            prop_assert!(fits(&password, hash.as_str().unwrap()));
        }
        if let Some(text) = of("alma9", Install::Kickstart) {
            prop_assert!(fits(&password, line(&text, "rootpw --iscrypted ")));
        }
        // One that is too old for hashes, and quotes nothing.
        if let Some(text) = of("rhel48", Install::Kickstart) {
            prop_assert_eq!(line(&text, "rootpw "), &password);
            prop_assert!(!password.contains(|c: char| c.is_whitespace() || "'\"\\#$".contains(c)));
        }
        if let Some(text) = of("sles15", Install::Autoyast) {
            prop_assert!(fits(&password, &elements(&text, "user_password")[0]));
        }
        if let Some(text) = of("sles102", Install::Autoyast) {
            prop_assert_eq!(&elements(&text, "user_password")[0], &password);
        }
        if let Some(text) = of("ws2022", Install::Autounattend) {
            prop_assert_eq!(&elements(&text, "Value")[1..], [password.clone(), password.clone()]);
        }
    }

    /// Each is refused, or stands where it belongs and nowhere else.
    #[test]
    fn every_name_arrives_or_is_refused(host in names(), user in names()) {
        let answers = Answers::new(host.as_str(), "secret").user(user.as_str()).source(SOURCE);
        if let Ok(text) = written(&answers, "debian12", Install::Preseed) {
            prop_assert_eq!(line(&text, "d-i netcfg/get_hostname string "), &host);
            prop_assert_eq!(line(&text, "d-i passwd/username string "), &user);
        }
        if let Ok(text) = written(&answers, "debian12", Install::CloudInit) {
            let data = json(&text);
            prop_assert_eq!(data["hostname"].as_str(), Some(host.as_str()));
            prop_assert_eq!(data["users"][1]["name"].as_str(), Some(user.as_str()));
        }
        if let Ok(text) = written(&answers, "alma9", Install::Kickstart) {
            let part = format!(" --hostname={host}\n");
            prop_assert!(text.contains(&part));
            let beginning = format!("--name={user} ");
            prop_assert!(line(&text, "user ").starts_with(&beginning));
        }
        if let Ok(text) = written(&answers, "sles15", Install::Autoyast) {
            prop_assert_eq!(elements(&text, "hostname"), vec![host.clone()]);
            prop_assert_eq!(elements(&text, "username"), vec!["root".to_owned(), user.clone()]);
        }
        if let Ok(text) = written(&answers, "ws2022", Install::Autounattend) {
            prop_assert_eq!(elements(&text, "ComputerName"), vec![host.clone()]);
            prop_assert_eq!(elements(&text, "Name"), vec![user]);
        }
    }
}

//! The answer files of the library, before those who read them: each installer's own validator, where one
//! can be had from Debian's packages or PyPI.
//!
//! | written for | held against | from |
//! |---|---|---|
//! | Debian's installer | `debconf-set-selections --checkonly` | Debian: debconf |
//! | cloud-init | `cloud-init schema` | Debian: cloud-init |
//! | Anaconda | `ksvalidator`, as each release of it | PyPI: pykickstart |
//! | `AutoYaST`, Windows setup | `xmllint`: that it is XML, no more | Debian: libxml2-utils |
//! | shadow passwords | `crypt(3)` of the C library, through perl | Debian: perl |
//!
//! There is none for Ubuntu's autoinstall (its schema is in the installer), for network configuration
//! (cloud-init has one since 23.3), for `AutoYaST` (the schema comes with SUSE's yast2-schema) nor for Windows
//! setup (with its own assessment kit).
//!
//! A validator that is not here is skipped, and the name of the skipped test says how to get it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Arguments, Failed, Trial};
use xenrt_testcases::answers::{Addressing, Answers};
use xenrt_testcases::systems::{Catalogue, Install};

const PASSWORD: &str = "it's a \"secret\" $(id) \\ # & <b>";

/// As much as can be said, and as little.
fn all_and_none(password: &str) -> [(&'static str, Answers); 2] {
    let full = Answers::new("guest-1", password)
        .user("tester")
        .ssh_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE8sOLkyiUvbzY5eZ0nUkKj9pTq1 me@here")
        .source("http://mirror.example.org/tree")
        .disk("xvda")
        .package("fio")
        .timezone("Europe/Berlin")
        .addressing(Addressing::Fixed {
            address: Ipv4Addr::new(10, 0, 0, 5),
            prefix: 24,
            gateway: Ipv4Addr::new(10, 0, 0, 1),
            nameserver: Some(Ipv4Addr::new(10, 0, 0, 2)),
        });
    // There is no kickstart file without a source.
    let bare = Answers::new("g", password).source("http://mirror.example.org/tree");
    [("full", full), ("bare", bare)]
}

/// A program that says whether a file is right.
struct Validator {
    program: &'static str,
    how_to_get: &'static str,
    /// Its command for a file, and for what the file is.
    command: fn(&Path, &str) -> Command,
}

impl Validator {
    fn here(&self) -> bool {
        find(self.program).is_some()
    }

    /// What it says against a file of this text, or nothing.
    fn objection(&self, text: &str, what: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answers");
        std::fs::write(&file, text).unwrap();
        let said = (self.command)(&file, what).output().unwrap();
        let told = [said.stdout, said.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        if what.starts_with("RHEL") && "345".contains(&what[4..]) {
            // What these releases need was deprecated by later ones, whose words the validator has in its
            // lists for them, too; it counts that as an error.
            let others = told.lines().filter(|line| !line.trim().is_empty());
            let mut others = others.filter(|line| !line.starts_with("Checking kickstart file"));
            return others.any(|line| !line.starts_with("Ignoring deprecated")).then_some(told);
        }
        // debconf warns with status 0.
        let wrong = !said.status.success() || told.contains("error:") || told.contains("warning:");
        wrong.then_some(told)
    }
}

/// A program on the path, or in the virtual environment of Python that `XENRT_VALIDATORS` names.
fn find(program: &str) -> Option<PathBuf> {
    let own = std::env::var_os("XENRT_VALIDATORS").map(|folder| Path::new(&folder).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = own.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn program(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| PathBuf::from(name)))
}

/// The settings of a debconf with a database in this folder (debconf.conf(5)).
fn own_database(folder: &Path) -> PathBuf {
    let database = |name: &str| {
        let file = folder.join(name).display().to_string();
        format!("\nName: {name}\nDriver: File\nFilename: {file}\n")
    };
    let settings = format!(
        "Config: configdb\nTemplates: templatedb\n{}{}",
        database("configdb"),
        database("templatedb")
    );
    let file = folder.join("debconf.conf");
    std::fs::write(&file, settings).unwrap();
    file
}

const DEBCONF: Validator = Validator {
    program: "debconf-set-selections",
    how_to_get: "apt-get install debconf",
    command: |file, _| {
        let mut command = program("debconf-set-selections");
        // The system's database is locked by whoever looks at it, even to check.
        command.env("DEBCONF_SYSTEMRC", own_database(file.parent().unwrap()));
        command.arg("--checkonly").arg(file);
        command
    },
};

const CLOUD_INIT: Validator = Validator {
    program: "cloud-init",
    how_to_get: "apt-get install cloud-init",
    command: |file, _| {
        let mut command = program("cloud-init");
        command.args(["schema", "--config-file"]).arg(file);
        command
    },
};

const KSVALIDATOR: Validator = Validator {
    program: "ksvalidator",
    how_to_get: "pip install pykickstart",
    command: |file, release| {
        let mut command = program("ksvalidator");
        command.args(["--version", release]).arg(file);
        command
    },
};

const XMLLINT: Validator = Validator {
    program: "xmllint",
    how_to_get: "apt-get install libxml2-utils",
    command: |file, _| {
        let mut command = program("xmllint");
        command.args(["--nonet", "--noout"]).arg(file);
        command
    },
};

/// One trial, which is skipped where its validator is not here.
fn trial(
    validator: &'static Validator,
    name: String,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let here = validator.here();
    let name = if here {
        format!("{}::{name}", validator.program)
    } else {
        format!("{}::{name} (skipped: {})", validator.program, validator.how_to_get)
    };
    Trial::test(name, test).with_ignored_flag(!here)
}

/// The file for a system is right for the validator, where `what` says which release reads it.
fn accepted(
    validator: &'static Validator,
    system: &'static str,
    install: Install,
    what: &'static str,
) -> impl Iterator<Item = Trial> {
    // Releases without hashes take no other password; that they say so is held by the unit tests.
    let old = ["rhel38", "rhel48", "centos511"].contains(&system);
    all_and_none(if old { "plain-1" } else { PASSWORD }).into_iter().map(move |(kind, answers)| {
        trial(validator, format!("{system}_{kind}"), move || {
            let systems = Catalogue::built_in()?;
            let known = systems.find(system)?;
            let files = answers.files(known, install)?;
            let text = &files[0].text;
            match validator.objection(text, what) {
                None => Ok(()),
                Some(objection) => Err(format!("{objection}\n{text}").into()),
            }
        })
    })
}

/// A validator that takes anything proves nothing.
fn refuses(validator: &'static Validator, wrong: &'static str, what: &'static str) -> Trial {
    trial(validator, "refuses_what_is_wrong".to_owned(), move || {
        match validator.objection(wrong, what) {
            Some(_) => Ok(()),
            None => Err(format!("{} took {wrong:?}", validator.program).into()),
        }
    })
}

/// The hash of a password is the one that the C library makes of it.
fn crypt() -> Trial {
    Trial::test("crypt::the_c_library_makes_the_same_hash", || {
        let [(_, answers), _] = all_and_none(PASSWORD);
        let systems = Catalogue::built_in()?;
        let files = answers.files(systems.find("debian12")?, Install::Preseed)?;
        let beginning = "d-i passwd/root-password-crypted password ";
        let hash = files[0].text.lines().find_map(|line| line.strip_prefix(beginning)).unwrap();
        let perl = ["-e", "print crypt($ARGV[0], $ARGV[1])", PASSWORD, hash];
        let said = Command::new("perl").args(perl).output()?;
        if said.stdout == hash.as_bytes() {
            return Ok(());
        }
        Err(format!("{hash}, crypt(3): {}", String::from_utf8_lossy(&said.stdout)).into())
    })
    .with_ignored_flag(find("perl").is_none())
}

fn main() {
    let mut trials = vec![
        crypt(),
        refuses(&DEBCONF, "d-i passwd/make-user\n", ""),
        refuses(&CLOUD_INIT, "#cloud-config\nusers: 3\n", ""),
        refuses(&KSVALIDATOR, "rootpw\n", "RHEL9"),
        refuses(&XMLLINT, "<profile>\n", ""),
    ];
    for system in ["debian50", "debian60", "debian80", "debian12", "debian13", "ubuntu1404"] {
        trials.extend(accepted(&DEBCONF, system, Install::Preseed, ""));
    }
    for system in ["debian12", "alpine320"] {
        trials.extend(accepted(&CLOUD_INIT, system, Install::CloudInit, ""));
    }
    for (system, release) in [
        ("rhel38", "RHEL3"),
        ("rhel48", "RHEL4"),
        ("centos511", "RHEL5"),
        ("oel66", "RHEL6"),
        ("sl71", "RHEL7"),
        ("rhel8", "RHEL8"),
        ("alma9", "RHEL9"),
        ("rocky10", "RHEL10"),
        ("fedora42", "F42"),
    ] {
        trials.extend(accepted(&KSVALIDATOR, system, Install::Kickstart, release));
    }
    for system in ["sles94", "sles114", "sles12", "sles15", "leap156"] {
        trials.extend(accepted(&XMLLINT, system, Install::Autoyast, ""));
    }
    for system in ["vistaeesp2", "ws08r2sp1-x64", "win11", "ws2025"] {
        trials.extend(accepted(&XMLLINT, system, Install::Autounattend, ""));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

//! Anaconda's kickstart files, from Red Hat Enterprise Linux 3 to today's
//! (pykickstart, "Kickstart Documentation").

use xenrt::Error;

use super::{Addressing, AnswerFile, Answers, major, plain_word};
use crate::systems::GuestSystem;

/// Which Anaconda reads the file, counted in releases of Red Hat Enterprise Linux.
fn release(system: &GuestSystem) -> u32 {
    let newest = 10;
    match (system.family.as_str(), major(system)) {
        // Fedora 12 became 6, 19 became 7, 28 became 8, 34 became 9, 40 became 10.
        ("Fedora", Some(number)) => match number {
            0..12 => 5,
            12..19 => 6,
            19..28 => 7,
            28..34 => 8,
            34..40 => 9,
            _ => newest,
        },
        (_, Some(number)) => number,
        (_, None) => newest,
    }
}

pub(super) fn files(answers: &Answers, system: &GuestSystem) -> Result<Vec<AnswerFile>, Error> {
    let release = release(system);
    let source = answers.source.as_deref().ok_or_else(|| {
        let why = "kickstart needs the address of the installation tree; set `source`";
        Error::invalid(format!("a kickstart file for {}", system.name), why)
    })?;
    // Before glibc 2.7 there is no SHA-512 crypt; releases of 5 differ in whether it was brought back.
    let (password, how) = if release < 6 {
        plain_word(&answers.password, system)?;
        (answers.password.clone(), "")
    } else {
        (answers.shadow()?, "--iscrypted ")
    };
    let mut lines: Vec<String> = Vec::new();
    // The words for "not an upgrade" are gone since 8 (pykickstart, F29 and F34).
    if release < 8 {
        lines.push("install".into());
    }
    lines.push("text".into());
    lines.push(format!("url --url={source}"));
    lines.push(format!("lang {}", answers.locale));
    if release < 5 {
        lines.push("langsupport --default=en_US.UTF-8 en_US.UTF-8".into());
        lines.push("mouse none".into());
    }
    lines.push(format!("keyboard {}", answers.keyboard));
    lines.push(format!("timezone --utc {}", answers.timezone));
    lines.push(network(answers, release));
    lines.push(format!("rootpw {how}{password}"));
    if let (Some(user), 6..) = (&answers.user, release) {
        lines.push(format!("user --name={user} --groups=wheel {how}--password={password}"));
    }
    lines.push(match release {
        ..6 => "firewall --enabled --ssh".into(),
        _ => "firewall --service=ssh".into(),
    });
    match release {
        ..8 => lines.push("authconfig --enableshadow".into()),
        _ => lines.push("authselect select minimal".into()),
    }
    lines.push("skipx".into());
    if release >= 4 {
        lines.push("firstboot --disabled".into());
    }
    lines.push(if release < 6 { "zerombr yes".into() } else { "zerombr".into() });
    let only = |option: &str| match &answers.disk {
        Some(disk) => format!(" {option}={disk}"),
        None => String::new(),
    };
    if release >= 6 && answers.disk.is_some() {
        lines.push(format!("ignoredisk{}", only("--only-use")));
    }
    lines.push(format!("clearpart --all --initlabel{}", only("--drives")));
    lines.push(format!(
        "bootloader --location=mbr{}",
        only(if release < 7 { "--driveorder" } else { "--boot-drive" })
    ));
    if release < 5 {
        // Automatic partitioning came with 5.
        lines.push(format!("part / --fstype=ext3 --size=1024 --grow{}", only("--ondisk")));
        lines.push(format!("part swap --size=256{}", only("--ondisk")));
    } else {
        lines.push("autopart".into());
    }
    lines.push("reboot".into());
    let end = |lines: &mut Vec<String>| {
        // Sections ended with the next one before 6.
        if release >= 6 {
            lines.push("%end".into());
        }
    };
    lines.push(String::new());
    lines.push("%packages".into());
    lines.push(if release < 6 { "@ base".into() } else { "@core".into() });
    lines.push("openssh-server".into());
    lines.extend(answers.packages.iter().cloned());
    end(&mut lines);
    lines.push(String::new());
    lines.push("%post".into());
    if let (Some(user), ..6) = (&answers.user, release) {
        lines.push(format!("useradd -G wheel {user}"));
        lines.push(format!("echo '{password}' | passwd --stdin {user}"));
    }
    lines.push(answers.finish_script());
    end(&mut lines);
    Ok(vec![AnswerFile { name: "ks.cfg", text: lines.join("\n") + "\n" }])
}

fn network(answers: &Answers, release: u32) -> String {
    // The interface with a cable: a word of Anaconda since 6; older ones take the first.
    let device = if release < 6 { "eth0" } else { "link" };
    let how = match answers.addressing {
        Addressing::Dhcp => "--bootproto=dhcp".to_owned(),
        Addressing::Fixed { address, prefix, gateway, nameserver } => {
            let names = match nameserver {
                Some(server) => format!(" --nameserver={server}"),
                None => " --nodns".to_owned(),
            };
            let mask = Addressing::netmask(prefix);
            format!("--bootproto=static --ip={address} --netmask={mask} --gateway={gateway}{names}")
        }
    };
    let activate = if release >= 6 { " --activate" } else { "" };
    format!("network --device={device} {how}{activate} --hostname={}", answers.host_name)
}

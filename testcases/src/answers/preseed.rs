//! Debian's installer: answers of debconf (Debian's installation guide, appendix B).

use xenrt::Error;
use xenrt::remote::Command;

use super::{Addressing, AnswerFile, Answers, major};
use crate::systems::GuestSystem;

/// Where Debian's own packages are.
const DEBIAN: &str = "http://deb.debian.org/debian";
/// Where Ubuntu's are.
const UBUNTU: &str = "http://archive.ubuntu.com/ubuntu";

pub(super) fn files(answers: &Answers, system: &GuestSystem) -> Result<Vec<AnswerFile>, Error> {
    let ubuntu = system.family == "Ubuntu";
    let mut file = Selections::default();
    file.set("debian-installer/locale", "string", &answers.locale);
    file.set("keyboard-configuration/xkb-keymap", "select", &answers.keyboard);
    file.set("console-setup/ask_detect", "boolean", "false");
    network(answers, &mut file);
    mirror(answers, if ubuntu { UBUNTU } else { DEBIAN }, &mut file)?;
    let hash = answers.shadow()?;
    file.set("passwd/root-login", "boolean", "true");
    file.set("passwd/root-password-crypted", "password", &hash);
    match &answers.user {
        None => file.set("passwd/make-user", "boolean", "false"),
        Some(user) => {
            file.set("passwd/make-user", "boolean", "true");
            file.set("passwd/user-fullname", "string", user);
            file.set("passwd/username", "string", user);
            file.set("passwd/user-password-crypted", "password", &hash);
            file.set("passwd/user-default-groups", "string", "sudo");
        }
    }
    file.set("clock-setup/utc", "boolean", "true");
    file.set("time/zone", "string", &answers.timezone);
    file.set("clock-setup/ntp", "boolean", "false");
    disk(answers, &mut file);
    file.set_for("tasksel", "tasksel/first", "multiselect", "standard");
    let packages =
        std::iter::once("openssh-server").chain(answers.packages.iter().map(String::as_str));
    file.set("pkgsel/include", "string", &packages.collect::<Vec<_>>().join(" "));
    file.set("pkgsel/upgrade", "select", "none");
    if ubuntu {
        file.set("pkgsel/update-policy", "select", "none");
        file.set("user-setup/allow-password-weak", "boolean", "true");
    }
    file.set_for("popularity-contest", "popularity-contest/participate", "boolean", "false");
    file.set("grub-installer/only_debian", "boolean", "true");
    // Which disk has been asked since jessie.
    if answers.disk.is_some() || major(system).is_none_or(|number| number >= 8) {
        let device =
            answers.disk.as_ref().map_or("default".to_owned(), |disk| format!("/dev/{disk}"));
        file.set("grub-installer/bootdev", "string", &device);
    }
    file.set("finish-install/reboot_in_progress", "note", "");
    let script =
        Command::new("in-target").args(["sh", "-c", &answers.finish_script().replace('\n', "; ")]);
    file.set("preseed/late_command", "string", &script.to_shell_line());
    Ok(vec![AnswerFile { name: "preseed.cfg", text: file.0 }])
}

/// Lines of `owner question type value` (debconf-set-selections(1)).
#[derive(Default)]
struct Selections(String);

impl Selections {
    fn set(&mut self, question: &str, kind: &str, value: &str) {
        self.set_for("d-i", question, kind, value);
    }

    fn set_for(&mut self, owner: &str, question: &str, kind: &str, value: &str) {
        self.0.push_str(format!("{owner} {question} {kind} {value}").trim_end());
        self.0.push('\n');
    }
}

fn network(answers: &Answers, file: &mut Selections) {
    file.set("netcfg/choose_interface", "select", "auto");
    if let Addressing::Fixed { address, prefix, gateway, nameserver } = answers.addressing {
        file.set("netcfg/disable_autoconfig", "boolean", "true");
        file.set("netcfg/get_ipaddress", "string", &address.to_string());
        file.set("netcfg/get_netmask", "string", &Addressing::netmask(prefix).to_string());
        file.set("netcfg/get_gateway", "string", &gateway.to_string());
        let names = nameserver.map(|server| server.to_string()).unwrap_or_default();
        file.set("netcfg/get_nameservers", "string", &names);
        file.set("netcfg/confirm_static", "boolean", "true");
    }
    file.set("netcfg/get_hostname", "string", &answers.host_name);
    file.set("netcfg/get_domain", "string", "");
    // What a DHCP server says is not asked for.
    file.set("netcfg/hostname", "string", &answers.host_name);
}

fn mirror(answers: &Answers, usual: &str, file: &mut Selections) -> Result<(), Error> {
    let source = answers.source.as_deref().unwrap_or(usual);
    let invalid =
        || Error::invalid(format!("the source {source:?}"), "it must be scheme://host/folder");
    let (scheme, rest) = source.split_once("://").ok_or_else(invalid)?;
    let (host, folder) = rest.split_once('/').unwrap_or((rest, ""));
    file.set("mirror/country", "string", "manual");
    file.set("mirror/protocol", "string", scheme);
    file.set(&format!("mirror/{scheme}/hostname"), "string", host);
    file.set(&format!("mirror/{scheme}/directory"), "string", &format!("/{folder}"));
    file.set(&format!("mirror/{scheme}/proxy"), "string", "");
    Ok(())
}

/// The whole disk, one partition, nothing asked.
fn disk(answers: &Answers, file: &mut Selections) {
    if let Some(disk) = &answers.disk {
        file.set("partman-auto/disk", "string", &format!("/dev/{disk}"));
    }
    file.set("partman-auto/method", "string", "regular");
    file.set("partman-auto/choose_recipe", "select", "atomic");
    for question in [
        "partman-lvm/device_remove_lvm",
        "partman-md/device_remove_md",
        "partman-partitioning/confirm_write_new_label",
        "partman/confirm",
        "partman/confirm_nooverwrite",
    ] {
        file.set(question, "boolean", "true");
    }
    file.set("partman/choose_partition", "select", "finish");
}

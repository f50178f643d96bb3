//! cloud-init, and the installer of Ubuntu's servers that is told in its language.
//!
//! Both read YAML. What is written here is JSON, which is YAML: whatever is in a text, it cannot end it.

use serde_json::{Value, json};
use xenrt::Error;

use super::{Addressing, AnswerFile, Answers};

/// Written first, so that cloud-init knows what it has (cloud-init, "User data formats").
const HEADER: &str = "#cloud-config\n";
/// Ubuntu's installer makes a user, whether there is one to be or not.
const USER: &str = "xenrt";

/// The three files of the data source `NoCloud`: the disk has the label `cidata`.
pub(super) fn files(answers: &Answers) -> Result<Vec<AnswerFile>, Error> {
    let meta = json!({
        "instance-id": format!("iid-{}", answers.host_name),
        "local-hostname": answers.host_name,
    });
    Ok(vec![
        AnswerFile { name: "user-data", text: config(&user_data(answers)?)? },
        AnswerFile { name: "meta-data", text: text(&meta)? },
        AnswerFile { name: "network-config", text: text(&network(&answers.addressing))? },
    ])
}

/// What Ubuntu's installer reads (subiquity, "Autoinstall configuration reference manual").
pub(super) fn autoinstall(answers: &Answers) -> Result<Vec<AnswerFile>, Error> {
    let hash = answers.shadow()?;
    let user = answers.user.as_deref().unwrap_or(USER);
    let in_target = |words: &[&str]| {
        let mut all = vec!["curtin", "in-target", "--"];
        all.extend(words);
        json!(all)
    };
    let script = answers.finish_script();
    let mut own = json!({
        "version": 1,
        "locale": answers.locale,
        "keyboard": { "layout": answers.keyboard },
        "timezone": answers.timezone,
        "network": network(&answers.addressing),
        "identity": {
            "hostname": answers.host_name,
            "realname": user,
            "username": user,
            "password": hash,
        },
        "ssh": {
            "install-server": true,
            "allow-pw": true,
            "authorized-keys": answers.ssh_keys,
        },
        "storage": { "layout": layout(answers) },
        "packages": answers.packages,
        "late-commands": [
            in_target(&["usermod", "-p", &hash, "root"]),
            in_target(&["sh", "-c", &script]),
        ],
        "shutdown": "reboot",
    });
    if let Some(source) = &answers.source {
        own["apt"] = json!({ "primary": [{ "arches": ["default"], "uri": source }] });
    }
    let meta = json!({ "instance-id": format!("iid-{}", answers.host_name) });
    Ok(vec![
        AnswerFile { name: "user-data", text: config(&json!({ "autoinstall": own }))? },
        AnswerFile { name: "meta-data", text: text(&meta)? },
    ])
}

fn layout(answers: &Answers) -> Value {
    match &answers.disk {
        None => json!({ "name": "direct" }),
        Some(disk) => json!({ "name": "direct", "match": { "path": format!("/dev/{disk}") } }),
    }
}

fn user_data(answers: &Answers) -> Result<Value, Error> {
    let hash = answers.shadow()?;
    let mut users = vec![json!({
        "name": "root",
        "lock_passwd": false,
        "hashed_passwd": hash,
    })];
    if let Some(user) = &answers.user {
        users.push(json!({
            "name": user,
            "lock_passwd": false,
            "hashed_passwd": hash,
            "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "shell": "/bin/sh",
        }));
    }
    // An empty list is not right (cloud-init's schema).
    if !answers.ssh_keys.is_empty() {
        for user in &mut users {
            user["ssh_authorized_keys"] = json!(answers.ssh_keys);
        }
    }
    let mut data = json!({
        "hostname": answers.host_name,
        "preserve_hostname": false,
        "disable_root": false,
        "ssh_pwauth": true,
        "users": users,
        // A password of `users` is for users that are new; root is there already. Releases before 22.2
        // know no other word for it.
        "chpasswd": { "expire": false, "list": [format!("root:{hash}")] },
        "locale": answers.locale,
        "keyboard": { "layout": answers.keyboard },
        "timezone": answers.timezone,
        "runcmd": [["sh", "-c", answers.finish_script()]],
    });
    if let Some(line) = locale_line(&answers.locale) {
        // Before locales are set up. Debian's locale-gen makes what this file names, and not what cloud-init
        // asks it for (locale-gen(8)).
        let script = format!(
            "[ ! -e /etc/locale.gen ] || grep -q '^{line}' /etc/locale.gen || \
             echo '{line}' >> /etc/locale.gen"
        );
        data["bootcmd"] = json!([["sh", "-c", script]]);
    }
    if !answers.packages.is_empty() {
        data["packages"] = json!(answers.packages);
    }
    if let Some(source) = &answers.source {
        data["apt"] = json!({ "primary": [{ "arches": ["default"], "uri": source }] });
    }
    Ok(data)
}

/// The line of a locale in locale.gen(5), its name and its character set; `None` for those that are there
/// always, or that name no set.
fn locale_line(locale: &str) -> Option<String> {
    let (name, set) = locale.split_once('.')?;
    let set = set.split('@').next()?;
    (name != "C" && name != "POSIX").then(|| format!("{locale} {set}"))
}

/// Version 2 of network configuration, which is netplan's.
fn network(addressing: &Addressing) -> Value {
    let mut interface = json!({ "match": { "name": "e*" } });
    match addressing {
        Addressing::Dhcp => interface["dhcp4"] = json!(true),
        Addressing::Fixed { address, prefix, gateway, nameserver } => {
            interface["addresses"] = json!([format!("{address}/{prefix}")]);
            interface["routes"] = json!([{ "to": "0.0.0.0/0", "via": gateway }]);
            if let Some(server) = nameserver {
                interface["nameservers"] = json!({ "addresses": [server] });
            }
        }
    }
    json!({ "version": 2, "ethernets": { "first": interface } })
}

fn text(value: &Value) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Error::invalid("an answer", error.to_string()))
}

fn config(value: &Value) -> Result<String, Error> {
    Ok(format!("{HEADER}{}", text(value)?))
}

#[cfg(test)]
mod tests {
    use super::locale_line;

    #[test]
    fn locales_that_must_be_made_have_a_line() {
        assert_eq!(locale_line("en_US.UTF-8").as_deref(), Some("en_US.UTF-8 UTF-8"));
        let euro = Some("de_DE.ISO-8859-15@euro ISO-8859-15");
        assert_eq!(locale_line("de_DE.ISO-8859-15@euro").as_deref(), euro);
        for there in ["C", "C.UTF-8", "POSIX", "de_DE@euro"] {
            assert_eq!(locale_line(there), None, "{there}");
        }
    }
}

//! What can be answered at all.

use xenrt::Error;

use super::Addressing;

/// Names that Debian's and Anaconda's installers keep for the system (user-setup,
/// `reserved-usernames`; setup, `/etc/passwd`), as far as both have them.
const SYSTEM_USERS: &[&str] = &[
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
    "backup", "list", "irc", "nobody", "adm", "shutdown", "halt", "operator", "ftp", "sshd",
    "dbus", "polkitd", "admin", "users", "wheel", "staff", "sudo", "audio", "video", "disk", "tty",
];

/// Accounts and authorities that Windows has (Windows security principals).
const WINDOWS_USERS: &[&str] = &[
    "administrator",
    "administrators",
    "guest",
    "guests",
    "defaultaccount",
    "system",
    "network",
    "service",
    "local",
    "none",
    "everyone",
    "users",
    "wdagutilityaccount",
    "con",
    "nul",
    "prn",
    "aux",
];

fn refuse(what: &str, found: &str, why: &str) -> Result<(), Error> {
    Err(Error::invalid(format!("{what} {found:?}"), why))
}

/// One label of a host name (RFC 1123, 2.1); a name of NetBIOS for Windows, of at most 15 characters,
/// not all of them digits.
pub(super) fn host_name(name: &str, windows: bool) -> Result<(), Error> {
    let what = "the host name";
    let longest = if windows { 15 } else { 63 };
    let right = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > longest || !name.chars().all(right) {
        let why = format!("it must be 1 to {longest} letters, digits and `-`");
        return refuse(what, name, &why);
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refuse(what, name, "it must not begin or end with `-`");
    }
    if name.chars().all(|c| c.is_ascii_digit()) {
        return refuse(what, name, "it must not be a number");
    }
    Ok(())
}

/// A password that can be typed and written down in XML.
pub(super) fn password(password: &str) -> Result<(), Error> {
    // The text itself stays out of the message.
    let refuse = |why: &str| Err(Error::invalid("the password", why));
    if password.is_empty() {
        return refuse("it must not be empty");
    }
    // The most that Windows setup takes (UserAccounts, AdministratorPassword).
    if password.chars().count() > 127 {
        return refuse("it must not have more than 127 characters");
    }
    if password.chars().any(|c| c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}')) {
        return refuse("it must not hold control characters");
    }
    Ok(())
}

/// A name of a user: useradd(8), 32 characters; of Windows, where `windows` is the name of the host.
pub(super) fn user(name: &str, windows: Option<&str>) -> Result<(), Error> {
    let what = "the user";
    let longest = if windows.is_some() { 20 } else { 32 };
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    if name.len() > longest || !name.starts_with(first) || !name.chars().all(rest) {
        let why = format!(
            "it must be a small letter or `_`, and small letters, digits, `_` and `-`, {longest} in all"
        );
        return refuse(what, name, &why);
    }
    let taken = if windows.is_some() { WINDOWS_USERS } else { SYSTEM_USERS };
    if taken.contains(&name) {
        return refuse(what, name, "the system has it for itself");
    }
    if windows.is_some_and(|host| host.eq_ignore_ascii_case(name)) {
        return refuse(what, name, "Windows takes no user of the name of the computer");
    }
    Ok(())
}

/// A line of `authorized_keys` without options and quotes.
pub(super) fn ssh_key(line: &str) -> Result<(), Error> {
    let what = "the ssh key";
    let right = |c: char| c.is_ascii_alphanumeric() || "@._+=:/ -".contains(c);
    if !line.chars().all(right) {
        return refuse(what, line, "it must be one line of letters, digits and `@._+=:/ -`");
    }
    let mut words = line.split(' ');
    let kind = words.next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-sha2-", "sk-"].iter().any(|prefix| kind.starts_with(prefix));
    if !known || words.next().is_none_or(|key| key.len() < 16) {
        return refuse(what, line, "it must be the kind, as in ssh-ed25519, and the key");
    }
    Ok(())
}

/// A URL of an installation source.
pub(super) fn url(url: &str) -> Result<(), Error> {
    let what = "the source";
    let right = |c: char| c.is_ascii_alphanumeric() || "-._~:/?&=%+@,".contains(c);
    let rest = ["http://", "https://", "ftp://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    match rest {
        Some(rest) if !rest.starts_with('/') && !rest.is_empty() && url.chars().all(right) => {
            Ok(())
        }
        _ => refuse(what, url, "it must be a URL with http, https or ftp"),
    }
}

/// Letters and digits, and some others.
pub(super) fn words(what: &str, found: &str, others: &str) -> Result<(), Error> {
    let right = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let edge = |c: char| c == ' ' || c == '-';
    if !found.is_empty()
        && found.len() <= 128
        && found.chars().all(right)
        && !found.starts_with(edge)
        && !found.ends_with(edge)
    {
        return Ok(());
    }
    let others = if others.is_empty() { String::new() } else { format!(" and `{others}`") };
    refuse(what, found, &format!("it must be letters, digits{others}, 128 at the most"))
}

/// A fixed address with the gateway in its network.
pub(super) fn addressing(addressing: &Addressing) -> Result<(), Error> {
    let Addressing::Fixed { address, prefix, gateway, .. } = addressing else { return Ok(()) };
    let what = format!("{address}/{prefix}");
    if !(1..=32).contains(prefix) {
        return refuse("the address", &what, "the prefix must be from 1 to 32");
    }
    let mask = Addressing::netmask(*prefix);
    if *prefix < 32 && (*address & mask) != (*gateway & mask) {
        return refuse(
            "the address",
            &what,
            &format!("the gateway {gateway} is in another network"),
        );
    }
    Ok(())
}

/// Five groups of five letters and digits.
pub(super) fn product_key(key: &str) -> Result<(), Error> {
    let group = |group: &str| {
        group.len() == 5 && group.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    if key.split('-').count() == 5 && key.split('-').all(group) {
        return Ok(());
    }
    Err(Error::invalid("the product key", "it must be five groups of five, with `-` between them"))
}

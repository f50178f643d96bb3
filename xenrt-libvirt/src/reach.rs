//! How a host of the lab is reached: by libvirt, and by a shell.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;
use xenrt_core::lab::HostEntry;
use xenrt_core::remote::{Command, HostKeyPolicy, SshHop, SshTarget};
use xenrt_core::{Error, Result};

use crate::xml::DomainKind;

/// The attribute of a host with the URI that its own programs would use: `qemu:///system`,
/// `xen:///system`, `test:///default`. One with a transport (`qemu+tls://...`) is used as it is.
const URI: &str = "libvirt_uri";

/// What is used where the attribute is not set.
const DEFAULT_URI: &str = "qemu:///system";

/// The attribute of a host with what its QEMU runs guests by: `kvm` or `qemu` (emulation). KVM is
/// taken where libvirt finds it and the attribute does not say otherwise.
const ACCELERATOR: &str = "libvirt_accelerator";

/// What the lab says QEMU is to run guests by.
///
/// # Errors
/// [`Error::Lab`] for what is neither.
pub(crate) fn accelerator(entry: &HostEntry) -> Result<Option<DomainKind>> {
    match entry.attributes.get(ACCELERATOR).map(String::as_str) {
        None => Ok(None),
        Some("kvm") => Ok(Some(DomainKind::Kvm)),
        Some("qemu") => Ok(Some(DomainKind::Qemu)),
        Some(other) => Err(Error::lab(format!(
            "the attribute `{ACCELERATOR}` of host {} is {other:?}; expected \"kvm\" or \"qemu\"",
            entry.name
        ))),
    }
}

/// Whether the lab means the machine that the tests run on.
pub(crate) fn is_local(entry: &HostEntry) -> bool {
    entry.address == "localhost"
}

/// The attribute of a host that is set to `true` where its kernel is that of the machine that the
/// tests run on: a name space or a container.
const OUR_KERNEL: &str = "shares_kernel";

/// Whether a reboot of the host would be one of the machine that the tests run on.
pub(crate) fn has_our_kernel(entry: &HostEntry) -> bool {
    is_local(entry) || entry.attributes.get(OUR_KERNEL).is_some_and(|own| own == "true")
}

/// The URI that a host is reached by. A host that is not this machine is reached through ssh with
/// the login of the lab; what libvirt is to start for that is a program in a folder that comes with
/// the URI and must live as long as its connection.
///
/// # Errors
/// [`Error::Lab`] for what is no URI of libvirt's, and [`Error::Io`] when the program cannot be written.
pub(crate) fn uri(entry: &HostEntry) -> Result<(String, Option<TempDir>)> {
    let own = entry.attributes.get(URI).map_or(DEFAULT_URI, String::as_str);
    let Some((scheme, rest)) = own.split_once("://") else {
        return Err(Error::lab(format!(
            "the attribute `{URI}` of host {} is {own:?}; expected something like {DEFAULT_URI:?}",
            entry.name
        )));
    };
    if is_local(entry) || scheme == "test" || scheme.contains('+') {
        return Ok((own.to_owned(), None));
    }
    let Some(path) = rest.strip_prefix('/') else {
        return Err(Error::lab(format!(
            "the attribute `{URI}` of host {} is {own:?} and names a machine; leave that to \
             `address`",
            entry.name
        )));
    };
    let folder = tempfile::Builder::new().prefix("xenrt-libvirt-").tempdir();
    let folder = folder.map_err(|source| Error::Io {
        action: "cannot make",
        path: "a temporary folder".to_owned(),
        source,
    })?;
    let program = folder.path().join("ssh");
    let unwritten =
        |source| Error::Io { action: "cannot write", path: program.display().to_string(), source };
    std::fs::write(&program, program_text(&entry.ssh_target())).map_err(unwritten)?;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&program, mode).map_err(unwritten)?;
    let (path, more) = path.split_once('?').map_or((path, None), |(path, more)| (path, Some(more)));
    let more = more.map(|more| format!("&{more}")).unwrap_or_default();
    let (user, port) = (escape(&entry.user), entry.port);
    let host = if entry.address.contains(':') {
        format!("[{}]", entry.address)
    } else {
        escape(&entry.address)
    };
    let program = escape(&program.display().to_string());
    let uri =
        format!("{scheme}+ssh://{user}@{host}:{port}/{path}?command={program}&no_tty=1{more}");
    Ok((uri, Some(folder)))
}

/// A text as a part of a URI (RFC 3986, 2.1).
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let part = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(part).collect()
}

/// The program that libvirt starts instead of `ssh`: `ssh` with what the lab says of the login. It
/// is given the port, the user, the host and the command by libvirt.
fn program_text(target: &SshTarget) -> String {
    let words: Vec<_> = target.proxy.iter().map(|word| Command::quote(word)).collect();
    let mut through = (!words.is_empty()).then(|| words.join(" "));
    for hop in &target.gateways {
        through = Some(proxy(hop, through.as_deref()));
    }
    let own = options(target.key.as_deref(), &target.host_key, through.as_deref());
    format!("#!/bin/sh\nexec ssh {own} \"$@\"\n")
}

/// The command that connects to the machine behind `hop`.
fn proxy(hop: &SshHop, before: Option<&str>) -> String {
    let gateway = &hop.gateway;
    let mut words = options(hop.key.as_deref(), &hop.host_key, before);
    if let Some(port) = gateway.port {
        words.push_str(&format!(" -p {port}"));
    }
    if let Some(user) = &gateway.user {
        words.push_str(&format!(" -l {}", Command::quote(user)));
    }
    // The percent signs of what was put in are not ssh's own (ssh_config(5), TOKENS).
    let words = words.replace('%', "%%");
    format!("ssh {words} -W '[%h]:%p' -- {}", Command::quote(&gateway.host).replace('%', "%%"))
}

fn options(key: Option<&Path>, host_key: &HostKeyPolicy, through: Option<&str>) -> String {
    let mut words = vec![
        "BatchMode=yes".to_owned(),
        "ServerAliveInterval=5".to_owned(),
        "ServerAliveCountMax=3".to_owned(),
        "ConnectTimeout=30".to_owned(),
    ];
    // ssh reads `%` in file names as its own.
    let file = |path: &Path| format!("\"{}\"", path.display().to_string().replace('%', "%%"));
    if let Some(key) = key {
        words.extend([format!("IdentityFile={}", file(key)), "IdentitiesOnly=yes".to_owned()]);
    }
    match host_key {
        HostKeyPolicy::Strict(known) => words.extend([
            "StrictHostKeyChecking=yes".to_owned(),
            format!("UserKnownHostsFile={}", file(known)),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
        ]),
        HostKeyPolicy::AcceptAny => words.extend([
            "StrictHostKeyChecking=no".to_owned(),
            "UserKnownHostsFile=/dev/null".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ]),
        // The user's own files must have it.
        _ => words.push("StrictHostKeyChecking=yes".to_owned()),
    }
    words.extend(through.map(|command| format!("ProxyCommand={command}")));
    let words: Vec<String> =
        words.iter().map(|word| format!("-o {}", Command::quote(word))).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenrt_core::lab::LabFile;

    fn entry(more: &str) -> HostEntry {
        let text = format!("[[host]]\nname = \"a\"\ntoolstack = \"libvirt\"\n{more}\n");
        LabFile::parse(&text, "lab.toml").unwrap().hosts.remove(0)
    }

    #[test]
    fn this_machine_and_other_machines_are_told_apart() {
        let of = |more: &str| {
            let (uri, folder) = uri(&entry(more))?;
            let program = |folder: &TempDir| folder.path().display().to_string();
            Ok::<_, Error>(folder.map_or(uri.clone(), |own| uri.replace(&program(&own), "/folder")))
        };
        let local = "address = \"localhost\"\nattributes = { libvirt_uri = \"test:///default\" }";
        assert_eq!(of(local).unwrap(), "test:///default");
        assert_eq!(of("address = \"localhost\"").unwrap(), "qemu:///system");
        let xen =
            "address = \"10.0.0.1\"\nport = 2222\nattributes = { libvirt_uri = \"xen:///system\" }";
        assert_eq!(
            of(xen).unwrap(),
            "xen+ssh://root@10.0.0.1:2222/system?command=/folder/ssh&no_tty=1"
        );
        for wrong in ["nonsense", "qemu://other/system"] {
            let more = format!("address = \"b\"\nattributes = {{ libvirt_uri = \"{wrong}\" }}");
            assert!(of(&more).unwrap_err().to_string().contains("libvirt_uri"), "{wrong}");
        }
    }

    #[test]
    fn the_login_of_the_lab_is_used_gateways_and_all() {
        let entry = entry(
            "address = \"10.0.0.1\"\nkey = \"/keys/it's 5%\"\nknown_hosts = \"/keys/known\"\n\
             gateway = \"me@jump:2222\"",
        );
        insta::assert_snapshot!(program_text(&entry.ssh_target()));
    }
}

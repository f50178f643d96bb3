//! Connecting to a host.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use xenrt_core::lab::HostEntry;
use xenrt_core::model::{Host, Reach, Scope, Toolstack};
use xenrt_core::remote::{Command, RemoteError, Shell, ShellExt as _, SshTarget};
use xenrt_core::{Error, Result};

use crate::error::TOOLSTACK;
use crate::host::XapiHost;
use crate::parse::{Record, records, values};
use crate::product::Product;
use crate::shared::{Facts, HostShared};
use crate::xe::{Login, Xe, XeCommand};
use crate::{bases, networks};

/// How long connecting may take; a toolstack that is starting is waited for.
const CONNECT: Duration = Duration::from_secs(120);

/// The xapi toolstack: the `xe` command line in the control domain, reached through ssh.
///
/// Nothing is needed on the host but what XenServer and XCP-ng install.
#[derive(Debug, Clone, Default)]
pub struct XapiToolstack {
    reach: Reach,
}

impl XapiToolstack {
    /// The toolstack, reaching hosts and guests through ssh.
    pub fn new() -> Self {
        Self::default()
    }

    /// The toolstack, reaching hosts and guests by shells that `reach` makes. It must not connect
    /// yet.
    pub fn reaching_by(
        reach: impl Fn(SshTarget) -> Arc<dyn Shell> + Send + Sync + 'static,
    ) -> Self {
        Self { reach: Reach::by(reach) }
    }

    /// The toolstack, reaching hosts as another one does.
    pub(crate) fn with_reach(reach: Reach) -> Self {
        Self { reach }
    }
}

#[async_trait]
impl Toolstack for XapiToolstack {
    fn name(&self) -> &'static str {
        TOOLSTACK
    }

    /// Four calls of `xe` in one remote command, and a look at dom0.
    async fn connect(&self, entry: &HostEntry) -> Result<Arc<dyn Host>> {
        let shell = self.reach.shell(entry.ssh_target());
        let dom0 = Dom0::look(&shell, entry).await?;
        let xe = Xe::with_deadline(Arc::clone(&shell), login(entry)?, entry.deadlines.command);
        let facts = read(&xe, entry, &dom0).await?;
        let shared = HostShared::new(entry.clone(), facts, xe, shell, self.reach.clone());
        Ok(Arc::new(XapiHost { shared: Arc::new(shared), scope: Scope::default() }))
    }
}

/// What dom0 says about itself without xapi.
struct Dom0 {
    /// The host's identity, from `/etc/xensource-inventory`.
    installation: Option<Uuid>,
    hostname: String,
    has_xl: bool,
}

impl Dom0 {
    async fn look(shell: &dyn Shell, entry: &HostEntry) -> Result<Self> {
        let line = "sed -n \"s/^INSTALLATION_UUID='\\(.*\\)'/installation \\1/p\" \
                    /etc/xensource-inventory 2>/dev/null\n\
                    echo \"hostname $(hostname)\"\n\
                    for p in xe xl; do command -v $p >/dev/null && echo \"has $p\"; done; true";
        let text = shell.text(&Command::shell_line(line).deadline(CONNECT)).await?;
        let words: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.split_once(' ')).collect();
        let word = |name: &str| words.iter().find(|(own, _)| *own == name).map(|(_, word)| *word);
        if !words.contains(&("has", "xe")) {
            return Err(Error::lab(format!(
                "host {} has no `xe`; it is in the control domain of XenServer and XCP-ng: correct \
                 `address` or `toolstack` of the host",
                entry.name
            )));
        }
        Ok(Self {
            installation: word("installation").and_then(|uuid| uuid.parse().ok()),
            hostname: word("hostname").unwrap_or_default().to_owned(),
            has_xl: words.contains(&("has", "xl")),
        })
    }
}

/// As whom `xe` speaks to xapi, from the attributes of a host in the lab file.
fn login(entry: &HostEntry) -> Result<Login> {
    let attribute = |name: &str| entry.attributes.get(name).map(String::as_str);
    let Some(server) = attribute("xe_server") else { return Ok(Login::Local) };
    let what = || format!("host {:?}", entry.name);
    let port = match attribute("xe_port").map(str::parse) {
        None => None,
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => return Err(Error::invalid(what(), "`xe_port` is no port number")),
    };
    let file = attribute("xe_password_file").ok_or_else(|| {
        let problem = "`xe_server` needs `xe_password_file`: a file here with the password alone";
        Error::invalid(what(), problem)
    })?;
    let password = std::fs::read_to_string(Path::new(file)).map_err(|source| Error::Io {
        action: "cannot read",
        path: file.to_owned(),
        source,
    })?;
    Ok(Login::Remote {
        server: server.to_owned(),
        port,
        user: attribute("xe_user").unwrap_or("root").to_owned(),
        password: password.trim_end_matches(['\n', '\r']).to_owned(),
    })
}

async fn read(xe: &Xe, entry: &HostEntry, dom0: &Dom0) -> Result<Facts> {
    let hosts = XeCommand::new("host-list").fields(&[
        "uuid",
        "name-label",
        "hostname",
        "address",
        "software-version",
        "capabilities",
        "API-version-major",
        "API-version-minor",
    ]);
    let pool = XeCommand::new("pool-list").fields(&["uuid", "default-SR", "restrictions"]);
    let commands = [hosts, pool, networks::list_command(), bases::templates_command()];
    let commands = commands.map(|command| command.deadline(CONNECT / 4));
    let answers = xe.run_all(&commands).await.map_err(|error| match error {
        crate::xe::XeError::Remote(RemoteError::Deadline { .. })
        | crate::xe::XeError::Unreachable { .. } => Error::lab(format!(
            "xapi on host {} does not answer ({error}); look at `systemctl status xapi` and \
             /var/log/xensource.log there",
            entry.name
        )),
        error => error.during("describe", &format!("host {:?}", entry.name)),
    })?;
    let [hosts, pool, networks, templates] = answers.as_slice() else {
        return Err(Error::lab("xe answered fewer questions than were asked"));
    };
    let hosts: Vec<Record<'_>> = records(hosts).collect::<Result<_>>()?;
    let own = own_record(&hosts, entry, dom0)?;
    let product = Product::read(own)?;
    let pool = records(pool).next().transpose()?.unwrap_or_default();
    let restrictions = pool.get("restrictions").map(values::map).unwrap_or_default();
    let capabilities = values::set(own.get("capabilities").unwrap_or_default());
    Ok(Facts {
        host: own.parse("uuid")?,
        abilities: product.abilities(&capabilities, &restrictions),
        product,
        default_sr: pool.get("default-SR").and_then(|uuid| uuid.parse().ok()),
        networks: networks::read(networks)?,
        templates: bases::read_templates(templates)?,
        has_xl: dom0.has_xl,
    })
}

/// The record of the host that `entry` speaks of: the one whose identity dom0 knows, the one with
/// its address or name, the only one.
fn own_record<'a, 'b>(
    hosts: &'a [Record<'b>],
    entry: &HostEntry,
    dom0: &Dom0,
) -> Result<&'a Record<'b>> {
    let by = |holds: &dyn Fn(&Record<'_>) -> bool| {
        let mut found = hosts.iter().filter(|host| holds(host));
        found.next().filter(|_| found.next().is_none())
    };
    let uuid = |host: &Record<'_>| host.get("uuid").and_then(|uuid| uuid.parse::<Uuid>().ok());
    by(&|host| dom0.installation.is_some() && uuid(host) == dom0.installation)
        .or_else(|| by(&|host| host.get("address") == Some(entry.address.as_str())))
        .or_else(|| by(&|host| host.get("hostname") == Some(dom0.hostname.as_str())))
        .or_else(|| by(&|host| host.get("name-label") == Some(entry.name.as_str())))
        .or_else(|| by(&|_| true))
        .ok_or_else(|| Error::NotFound {
            kind: "host of the pool",
            name: entry.name.clone(),
            known: hosts
                .iter()
                .filter_map(|host| host.get("name-label"))
                .map(str::to_owned)
                .collect(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &str) -> HostEntry {
        let text = format!(
            "[[host]]\nname = \"a\"\naddress = \"192.0.2.11\"\ntoolstack = \"xapi\"\n{attributes}\n"
        );
        xenrt_core::lab::LabFile::parse(&text, "lab.toml").unwrap().hosts.remove(0)
    }

    fn dom0(installation: Option<&str>, hostname: &str) -> Dom0 {
        let installation = installation.map(|uuid| uuid.parse().unwrap());
        Dom0 { installation, hostname: hostname.to_owned(), has_xl: false }
    }

    #[test]
    fn the_own_host_of_a_pool_is_found() {
        let host = |n: u32| {
            format!(
                "uuid ( RO)          : 9d0c7a4e-1111-4c1e-8000-00000000000{n}\n    \
                 name-label ( RW): host{n}\n      hostname ( RO): h{n}\n       address ( RO): \
                 192.0.2.1{n}\n\n\n"
            )
        };
        let text = format!("{}{}", host(1), host(2));
        let hosts: Vec<Record<'_>> = records(&text).collect::<Result<_>>().unwrap();
        let found = |entry: &HostEntry, dom0: &Dom0| {
            own_record(&hosts, entry, dom0).map(|host| host.get("name-label").unwrap().to_owned())
        };
        let second = "9d0c7a4e-1111-4c1e-8000-000000000002";
        assert_eq!(found(&entry(""), &dom0(Some(second), "")).unwrap(), "host2");
        assert_eq!(found(&entry(""), &dom0(None, "h2")).unwrap(), "host1");
        let mut elsewhere = entry("");
        elsewhere.address = "127.0.0.1".into();
        assert_eq!(found(&elsewhere, &dom0(None, "h2")).unwrap(), "host2");
        let error = found(&elsewhere, &dom0(None, "x")).unwrap_err().to_string();
        assert!(error.contains("host1") && error.contains("host2"), "{error}");
    }

    #[test]
    fn a_remote_login_needs_a_file_with_its_password() {
        assert_eq!(login(&entry("")).unwrap(), Login::Local);
        let without = entry("attributes = { xe_server = \"h\" }");
        assert!(login(&without).unwrap_err().to_string().contains("xe_password_file"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let with = entry(&format!(
            "attributes = {{ xe_server = \"h\", xe_port = \"4443\", xe_password_file = {:?} }}",
            file
        ));
        let login = login(&with).unwrap();
        assert!(!format!("{login:?}").contains("s3cret"));
        assert!(
            matches!(login, Login::Remote { port: Some(4443), password, .. } if password == "s3cret")
        );
    }
}

//! Disks that another host serves, over NFS and over iSCSI.

use std::net::IpAddr;

use xenrt::model::Undo;
use xenrt::prelude::*;

use super::SIZE;
use crate::support::{addresses_between, needs_programs, unmount};

/// How a disk comes to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Nfs,
    Iscsi,
}

impl Protocol {
    /// The port of the server (IANA).
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Nfs => 2049,
            Self::Iscsi => 3260,
        }
    }
}

/// A disk that one host serves to another one.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) protocol: Protocol,
    /// The address of the server, as the client reaches it.
    pub(super) server: IpAddr,
    /// Where the client has the disk.
    pub(super) path: String,
}

/// Daemons start, and clients log in.
const MINUTES: Duration = Duration::from_secs(300);

/// The name of the iSCSI target (RFC 3720, 3.2.6.3) and its number for tgtadm(8).
const TARGET: &str = "iqn.2026-11.xenrt:disk";
const TARGET_ID: &str = "77";

impl Served {
    /// Has `server` serve a blank disk of the usual size, and `guest`'s host attach it. What is made goes
    /// with the test, the last first.
    ///
    /// # Errors
    /// A skip where one of the hosts lacks a program for it.
    pub(super) async fn make(
        cx: &TestContext,
        protocol: Protocol,
        guest: &dyn Guest,
        server: &dyn Host,
    ) -> Result<Self> {
        let (serving, attaching): (&[&str], &[&str]) = match protocol {
            Protocol::Nfs => (&["exportfs"], &["mount.nfs"]),
            Protocol::Iscsi => (&["tgtadm"], &["iscsiadm"]),
        };
        let (here, there) = (guest.host(), server.dom0());
        needs_programs(there.as_ref(), serving, "serve a disk").await?;
        needs_programs(here.dom0().as_ref(), attaching, "attach a disk that is served").await?;
        let (address, client) = addresses_between(here.as_ref(), server).await?;
        let folder = format!("/var/tmp/xenrt-served-{}", guest.uuid());
        let ends = Ends { cx, here: here.dom0(), there, server: address, client, folder };
        does(&ends.there, Command::new("mkdir").args(["-p", &ends.folder])).await?;
        undo(cx, &ends.there, format!("rm -rf {}", ends.folder));
        let path = match protocol {
            Protocol::Nfs => ends.nfs().await?,
            Protocol::Iscsi => ends.iscsi().await?,
        };
        Ok(Self { protocol, server: address, path })
    }
}

/// Who serves a disk to whom.
struct Ends<'a> {
    cx: &'a TestContext,
    /// dom0 of the client.
    here: Arc<dyn Shell>,
    /// dom0 of the server.
    there: Arc<dyn Shell>,
    server: IpAddr,
    client: IpAddr,
    /// Of the server, for the disk.
    folder: String,
}

fn blank() -> Vec<u8> {
    vec![0; SIZE.as_bytes() as usize]
}

async fn does(shell: &Arc<dyn Shell>, command: Command) -> Result {
    shell.run(&command.deadline(MINUTES)).await?;
    Ok(())
}

/// Leaves a line of shell for the end of the test.
fn undo(cx: &TestContext, shell: &Arc<dyn Shell>, line: String) {
    let (shell, what) = (Arc::clone(shell), format!("{line} on {}", shell.target()));
    cx.on_cleanup(Undo::new(what, move || async move {
        shell.run(&Command::shell_line(line).deadline(MINUTES)).await?;
        Ok(())
    }));
}

/// Has a service run; it ends with the test where it did not run before.
async fn service(cx: &TestContext, shell: &Arc<dyn Shell>, name: &str) -> Result {
    let runs = Command::new("systemctl").args(["is-active", "--quiet", name]).deadline(MINUTES);
    if shell.succeeds(&runs).await? {
        return Ok(());
    }
    undo(cx, shell, format!("systemctl stop {name}"));
    does(shell, Command::new("systemctl").args(["start", name])).await
}

impl Ends<'_> {
    /// Exports a folder (exports(5)), and mounts it so that requests wait for a server that does not answer
    /// (nfs(5), `hard`).
    async fn nfs(&self) -> Result<String> {
        let Self { cx, here, there, server, client, folder } = self;
        service(cx, there, "nfs-server").await?;
        let export = format!("{client}:{folder}");
        // A number instead of a UUID: not every file system has one.
        let options = "rw,sync,no_subtree_check,no_root_squash,fsid=77";
        does(there, Command::new("exportfs").args(["-o", options, &export])).await?;
        undo(cx, there, format!("exportfs -u {export}"));
        let mounted = format!("{folder}-mounted");
        does(here, Command::new("mkdir").args(["-p", &mounted])).await?;
        undo(cx, here, format!("rmdir {mounted}"));
        let mount =
            Command::new("mount").args(["-t", "nfs", "-o", "vers=4.2,hard,timeo=50,retrans=2"]);
        does(here, mount.args([&format!("{server}:{folder}"), &mounted])).await?;
        undo(cx, here, unmount(&mounted));
        let path = format!("{mounted}/disk");
        here.write_file(&path, &blank(), 0o600).await?;
        Ok(path)
    }

    /// Makes a target of a file (tgtadm(8)), and logs into it (iscsiadm(8)).
    async fn iscsi(&self) -> Result<String> {
        let Self { cx, here, there, server, client, folder } = self;
        let file = format!("{folder}/disk");
        there.write_file(&file, &blank(), 0o600).await?;
        service(cx, there, "tgt").await?;
        let tgtadm = |words: &[&str]| {
            Command::new("tgtadm")
                .args(["--lld", "iscsi", "--tid", TARGET_ID])
                .args(words.iter().copied())
        };
        does(there, tgtadm(&["--mode", "target", "--op", "new", "--targetname", TARGET])).await?;
        undo(
            cx,
            there,
            format!("tgtadm --lld iscsi --tid {TARGET_ID} --mode target --op delete --force"),
        );
        let unit = ["--mode", "logicalunit", "--op", "new", "--lun", "1", "--backing-store", &file];
        does(there, tgtadm(&unit)).await?;
        let client = client.to_string();
        let allow = ["--mode", "target", "--op", "bind", "--initiator-address", &client];
        does(there, tgtadm(&allow)).await?;
        let portal = format!("{server}:{}", Protocol::Iscsi.port());
        let discover = ["--mode", "discovery", "--type", "sendtargets", "--portal", &portal];
        does(here, Command::new("iscsiadm").args(discover)).await?;
        let node = format!("iscsiadm --mode node --targetname {TARGET} --portal {portal}");
        undo(cx, here, format!("{node} --op delete"));
        does(here, Command::shell_line(format!("{node} --login"))).await?;
        undo(cx, here, format!("{node} --logout"));
        // udev's name for it (the rules of systemd, 60-persistent-storage.rules).
        let path = format!("/dev/disk/by-path/ip-{portal}-iscsi-{TARGET}-lun-1");
        let look = Command::new("test").args(["-b", &path]).deadline(MINUTES);
        wait_until(format!("{path} to be there"), || async {
            Ok(Wait::on(here.succeeds(&look).await?, "the login is done, the disk is not there"))
        })
        .within(MINUTES)
        .await?;
        Ok(path)
    }
}

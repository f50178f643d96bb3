//! One connection to the target: an `ssh` master process, and how it is kept and ended.
//!
//! The master is a daemon of its own (`ControlPersist` makes it one when the login has succeeded),
//! so that neither Ctrl-C here nor the end of a runtime takes it down in the middle of something.
//! It would outlive us, so it is told to end by itself when nobody has been connected to it for
//! [`IDLE`]. As long as we live, one connection to its control socket, the *holder*, keeps it from
//! being idle; the same connection tells us at once when the master ends. After `kill -9` of this
//! process the kernel closes the holder, and the master follows; or, where a program still runs through it,
//! when the next process of ours starts.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::super::SshTarget;
use super::config::{self, Station};
use super::failure::ConnectFailure;
use super::folder::{Folder, SOCKET, end_master};

use crate::seconds::Readable;

/// A master that nobody is connected to ends after this many seconds.
const IDLE: u8 = 5;

/// Connecting may take this long, with all gateways.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// One `ssh` master process. Dropping it ends it and all that runs through it.
#[derive(Debug)]
pub(super) struct Master {
    socket: PathBuf,
    alive: Arc<AtomicBool>,
    /// How many sessions it has now.
    pub(super) in_use: AtomicUsize,
    /// How many sessions the server allows, as far as it is known.
    pub(super) capacity: AtomicUsize,
    /// Sessions that were allowed since one was refused.
    pub(super) since_refusal: AtomicUsize,
    holder: tokio::task::AbortHandle,
    /// Kept until the master is gone.
    folder: Arc<Folder>,
    own_folder: PathBuf,
}

/// OpenSSH's `MaxSessions` unless the server's administrator says otherwise (sshd_config(5)).
pub(super) const USUAL_MAX_SESSIONS: usize = 10;

impl Master {
    /// Connects. `number` tells masters of one folder apart; `ended` is woken when the master ends.
    pub(super) async fn connect(
        target: &SshTarget,
        folder: Arc<Folder>,
        number: u64,
        ended: Arc<Notify>,
    ) -> Result<Self, ConnectFailure> {
        let local = |what: &str, error: std::io::Error| {
            ConnectFailure::connect(format!("{what} on this machine: {error}"))
        };
        let own_folder = folder.path().join(number.to_string());
        std::fs::create_dir(&own_folder)
            .map_err(|error| local("cannot make a folder for the connection", error))?;
        let own_folder = RemoveFolder(own_folder);
        let stations = Station::all(target, &own_folder.0);
        for station in &stations {
            station.check_files()?;
        }
        let Some(last) = stations.last() else {
            return Err(ConnectFailure::connect("there is no machine to reach"));
        };
        let config = own_folder.0.join("config");
        let text =
            config::text(&stations, &config, CONNECT_LIMIT / 2).map_err(ConnectFailure::connect)?;
        std::fs::write(&config, text)
            .map_err(|error| local("cannot write the configuration of ssh", error))?;

        let socket = own_folder.0.join(SOCKET);
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.arg("-F").arg(&config).arg("-E").arg(&last.log).arg("-S").arg(&socket);
        ssh.args(["-M", "-N", "-o", &format!("ControlPersist={IDLE}s"), &last.alias]);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Until the login has succeeded it is a child that goes when nobody waits for it any more.
        ssh.kill_on_drop(true).process_group(0);
        let mut child = ssh.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ConnectFailure::connect(
                "there is no `ssh` on this machine; install the OpenSSH client (Debian: \
                 `apt-get install openssh-client`)",
            ),
            _ => local("cannot start ssh", error),
        })?;
        match tokio::time::timeout(CONNECT_LIMIT, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => {
                return Err(ConnectFailure::from_logs(
                    &stations,
                    &format!("ssh ended with {status}"),
                ));
            }
            Ok(Err(error)) => return Err(local("cannot follow ssh", error)),
            Err(_) => {
                let exit = format!("no login within {} (timed out)", Readable(CONNECT_LIMIT));
                return Err(ConnectFailure::from_logs(&stations, &exit));
            }
        }

        let holder = UnixStream::connect(&socket)
            .await
            .map_err(|error| local("the connection was lost at once: no control socket", error))?;
        let alive = Arc::new(AtomicBool::new(true));
        let watch = hold(holder, NoteEnd { alive: Arc::clone(&alive), ended });
        let holder = tokio::spawn(watch).abort_handle();
        Ok(Self {
            socket,
            alive,
            in_use: AtomicUsize::new(0),
            capacity: AtomicUsize::new(USUAL_MAX_SESSIONS),
            since_refusal: AtomicUsize::new(0),
            holder,
            folder,
            own_folder: own_folder.keep(),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(super) fn mark_dead(&self) {
        self.alive.store(false, Ordering::Release);
    }

    /// The socket for new sessions.
    pub(super) fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Whether the master process answers. A master that ends closes its listening socket before
    /// its sessions (lower descriptors first), so after a session broke off the answer is certain.
    pub(super) async fn answers(&self) -> bool {
        let answer = async {
            let mut connection = openssh_mux_client::Connection::connect(&self.socket).await?;
            connection.send_alive_check().await
        };
        let answers = tokio::time::timeout(Duration::from_secs(5), answer).await;
        matches!(answers, Ok(Ok(_)))
    }

    /// Ends the process and everything that runs through it.
    pub(super) fn close(&self) {
        self.mark_dead();
        end_master(&self.socket);
        self.holder.abort();
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.close();
        let _ = std::fs::remove_dir_all(&self.own_folder);
        tracing::debug!(folder = %self.folder.path().display(), "an ssh master was ended");
    }
}

/// Reads the holder, on which nothing but a greeting ever comes, until the master ends.
async fn hold(mut holder: UnixStream, _note: NoteEnd) {
    let mut greeting = [0; 64];
    while let Ok(1..) = holder.read(&mut greeting).await {}
}

/// Notes the end of the master, and also the end of the runtime that watched it.
struct NoteEnd {
    alive: Arc<AtomicBool>,
    ended: Arc<Notify>,
}

impl Drop for NoteEnd {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::Release);
        self.ended.notify_waiters();
    }
}

/// Removes the folder of a connection that did not come about.
struct RemoveFolder(PathBuf);

impl RemoveFolder {
    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for RemoveFolder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

//! How dom0 is reached, and the few commands that the lab itself gives there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::error::Result;
use crate::tools::Tools;
use crate::wait::{Finished, run};

/// How to reach a dom0 by ssh. Its host key is known, so a client can and should be strict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SshAccess {
    /// Always 127.0.0.1.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
    /// Always `root`.
    pub user: String,
    /// The private key that opens it. It opens the guests as well.
    pub key: PathBuf,
    /// A `known_hosts` file with the host key of this dom0 and of the guests behind it.
    pub known_hosts: PathBuf,
}

impl SshAccess {
    pub(crate) fn new(port: u16, key: PathBuf, known_hosts: PathBuf) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, port, user: "root".into(), key, known_hosts }
    }

    /// Arguments of the `ssh` program, up to and including the destination. No configuration file of
    /// the user is read.
    pub fn arguments(&self) -> Vec<String> {
        let option = |value: String| ["-o".to_owned(), value];
        let mut arguments = vec!["-F".to_owned(), "none".into(), "-i".into()];
        arguments.push(self.key.display().to_string());
        arguments.extend(["-p".to_owned(), self.port.to_string()]);
        arguments.extend(
            [
                "BatchMode=yes".to_owned(),
                "IdentitiesOnly=yes".into(),
                "StrictHostKeyChecking=yes".into(),
                // A path with a blank needs the quotes.
                format!("UserKnownHostsFile=\"{}\"", self.known_hosts.display()),
                "GlobalKnownHostsFile=none".into(),
                "HostKeyAlgorithms=ssh-ed25519".into(),
                "ConnectTimeout=60".into(),
                "LogLevel=ERROR".into(),
            ]
            .into_iter()
            .flat_map(option),
        );
        arguments.push(format!("{}@{}", self.user, self.address));
        arguments
    }

    /// Runs a shell command in dom0.
    pub(crate) async fn run(
        &self,
        tools: &Tools,
        command: &str,
        within: Duration,
    ) -> Result<Finished> {
        let mut arguments = self.arguments();
        arguments.push(command.to_owned());
        run(&tools.ssh, &arguments, within).await
    }

    /// Whether a server says what it is. Costs nothing but a connection, unlike a login under
    /// emulation.
    pub(crate) async fn banner(&self, within: Duration) -> Result<(), String> {
        let greet = async {
            let mut stream = TcpStream::connect(SocketAddr::new(self.address, self.port)).await?;
            let mut start = [0; 4];
            stream.read_exact(&mut start).await?;
            Ok::<_, std::io::Error>(start)
        };
        match tokio::time::timeout(within, greet).await {
            Ok(Ok(start)) if &start == b"SSH-" => Ok(()),
            Ok(Ok(start)) => Err(format!("port {} greets with {start:?}", self.port)),
            Ok(Err(error)) => Err(format!("port {}: {error}", self.port)),
            Err(_) => Err(format!("port {}: no greeting yet", self.port)),
        }
    }
}

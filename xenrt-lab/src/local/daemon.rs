//! The daemon of a host.

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{LocalHost, STARTING};
use crate::error::{IoContext as _, LabError, Result};
use crate::wait::{Look, last_lines, run, wait_until};

/// Where the daemon of a host writes its number.
const PID_FILE: &str = "/run/libvirt/libvirtd.pid";

impl LocalHost {
    /// Starts the daemon and waits until it listens.
    ///
    /// # Errors
    /// [`LabError::Timeout`] with what it said when it does not.
    pub async fn start_daemon(&self) -> Result<()> {
        let socket = self.socket();
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).io("remove", &socket);
            }
            _ => {}
        }
        let log = self.log();
        let output = fs::OpenOptions::new().create(true).append(true).open(&log);
        let output = output.io("open", &log)?;
        let errors = output.try_clone().io("open", &log)?;
        let words = self.space.on_host();
        let (program, words) = words.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
        // It goes into the background by itself, so that its parent is the first process of the host.
        let mut starting = Command::new(program)
            .args(words)
            .args(["libvirtd", "--daemon", "--pid-file", PID_FILE])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| LabError::Spawn { program: program.to_owned(), source })?;
        wait_until("the start of libvirtd", STARTING, Duration::from_millis(50), || {
            let looked = starting.try_wait().io("follow libvirtd of", &log).and_then(|ended| {
                let said = || last_lines(&fs::read_to_string(&log).unwrap_or_default(), 10);
                match ended {
                    Some(status) if !status.success() => Err(LabError::Command {
                        what: "libvirtd".into(),
                        status: status.to_string(),
                        output: said(),
                    }),
                    Some(_) if UnixStream::connect(&socket).is_ok() => Ok(Look::Done(())),
                    _ => Ok(Look::NotYet(said())),
                }
            });
            async { looked }
        })
        .await
    }

    /// Kills the daemon, as a crash would end it; guests go on.
    ///
    /// # Errors
    /// When there is none, or it cannot be killed.
    pub async fn kill_daemon(&self) -> Result<()> {
        let line = format!(
            "pid=$(cat {PID_FILE}); kill -KILL \"$pid\"; while kill -0 \"$pid\" 2>/dev/null; do sleep 0.02; done"
        );
        let mut words = self.space.on_host();
        words.extend(["sh".to_owned(), "-ec".to_owned(), line]);
        let (program, words) = words.split_first().map_or(("", &[][..]), |(a, b)| (a, b));
        let done = run(program.as_ref(), words, Duration::from_secs(10)).await?;
        done.output("killing libvirtd").map(|_| ())
    }
}

//! A cable between two machines: a stream socket, with a port of QEMU's hub at each end.
//!
//! QEMU opens both ends of a stream in a thread of its own, after it has answered `netdev_add`. So the
//! listener may not listen yet when the other end connects; QEMU 7.2 does not try again (`reconnect`
//! is of 8.0), and the cable stays dead: measured, 6 of 15 cables on an idle machine. QEMU says how
//! far an end has come only in the text of `info network`, which is therefore read here.

use std::time::Duration;

use serde_json::json;

use super::qmp::{QUICK, Qmp};
use crate::error::Result;
use crate::wait::{Look, wait_until};

/// How long an end may take to be connected: a moment, but for a machine that is very busy.
const CONNECTING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// What `info network` says of one end of a stream (`net/stream.c` of QEMU 7.2 to 10).
#[derive(Debug, PartialEq, Eq)]
enum End {
    Connected,
    Failed,
    /// Neither, with QEMU's words: none in 7.2, `listening` or `connecting` in later ones.
    Opening(String),
}

/// Adds the end that listens on `socket`, a path as QEMU sees it, and plugs it into hub 0.
pub(super) async fn listen(qmp: &Qmp, id: &str, socket: &str) -> Result<()> {
    add_end(qmp, id, socket, true).await?;
    plug(qmp, id).await
}

/// Adds the end that connects to `socket`, as often as it takes until somebody listens there, and
/// plugs it into hub 0.
pub(super) async fn connect(qmp: &Qmp, id: &str, socket: &str) -> Result<()> {
    add_end(qmp, id, socket, false).await?;
    wait_until(&format!("the near end of {id}"), CONNECTING, PAUSE, || async {
        Ok(match end(qmp, id).await? {
            End::Connected => Look::Done(()),
            End::Opening(words) => Look::NotYet(words),
            End::Failed => {
                qmp.execute("netdev_del", json!({ "id": id }), QUICK).await?;
                add_end(qmp, id, socket, false).await?;
                Look::NotYet("nobody listens at the far end".into())
            }
        })
    })
    .await?;
    plug(qmp, id).await
}

/// Waits until somebody is connected to the end that listens.
pub(super) async fn connected(qmp: &Qmp, id: &str) -> Result<()> {
    wait_until(&format!("the far end of {id}"), CONNECTING, PAUSE, || async {
        Ok(match end(qmp, id).await? {
            End::Connected => Look::Done(()),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
    .await
}

async fn add_end(qmp: &Qmp, id: &str, socket: &str, listens: bool) -> Result<()> {
    let address = json!({ "type": "unix", "path": socket });
    let end = json!({ "type": "stream", "id": id, "server": listens, "addr": address });
    qmp.execute("netdev_add", end, QUICK).await.map(drop)
}

async fn plug(qmp: &Qmp, id: &str) -> Result<()> {
    let port = json!({ "type": "hubport", "id": format!("{id}-port"), "hubid": 0, "netdev": id });
    qmp.execute("netdev_add", port, QUICK).await.map(drop)
}

async fn end(qmp: &Qmp, id: &str) -> Result<End> {
    let text = qmp.human("info network").await?;
    Ok(read_end(&text, id))
}

fn read_end(text: &str, id: &str) -> End {
    // ` \ cable2-port: cable2: index=0,type=stream,unix:cable2`, without the port before it is plugged.
    let words = text.lines().find_map(|line| {
        let (names, words) = line.split_once(": index=0,type=stream,")?;
        (names.rsplit([' ', '\\']).next() == Some(id)).then_some(words.trim())
    });
    match words {
        None => End::Opening("QEMU does not know it".into()),
        Some(words) if words.starts_with("unix:") => End::Connected,
        Some(words) if words.contains("error") => End::Failed,
        Some(words) => End::Opening(words.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn what_qemu_says_of_an_end() {
        let text = "hub 0\n \\ cable2-port: cable2: index=0,type=stream,unix:cable2\n \
                    \\ sink-port: sink: index=0,type=dgram,udp=sink:nobody\n\
                    cable3: index=0,type=stream,connection error\ncable4: index=0,type=stream,\n";
        assert_eq!(read_end(text, "cable2"), End::Connected);
        assert_eq!(read_end(text, "cable3"), End::Failed);
        assert_eq!(read_end(text, "cable4"), End::Opening(String::new()));
        assert_eq!(read_end(text, "cable"), End::Opening("QEMU does not know it".into()));
    }

    /// A QEMU that runs nothing. Dropping it ends it.
    struct Idle(Child);

    impl Idle {
        async fn start(directory: &Path) -> (Self, Qmp) {
            std::fs::create_dir(directory).unwrap();
            let arguments = "-S -display none -nodefaults -machine none \
                             -qmp unix:monitor,server=on,wait=off -netdev hubport,id=net1,hubid=0";
            let child = Command::new("qemu-system-x86_64")
                .args(arguments.split_ascii_whitespace())
                .current_dir(directory)
                .stdin(Stdio::null())
                .spawn()
                .expect("QEMU is installed (cargo xtask test installs it)");
            let idle = Self(child);
            let monitor = directory.join("monitor");
            let qmp = wait_until("the monitor", CONNECTING, PAUSE, || async {
                Ok(match Qmp::connect(&monitor).await {
                    Ok(qmp) => Look::Done(qmp),
                    Err(error) => Look::NotYet(error.to_string()),
                })
            });
            (idle, qmp.await.unwrap())
        }
    }

    impl Drop for Idle {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Who connects the very moment after `netdev_add` is too early in two cases of five.
    #[tokio::test]
    async fn many_cables_in_a_row_are_all_connected() {
        let parent = tempfile::tempdir().unwrap();
        let (_one, one) = Idle::start(&parent.path().join("one")).await;
        let (_two, two) = Idle::start(&parent.path().join("two")).await;
        for number in 0..30 {
            let id = format!("cable{number}");
            listen(&one, &id, &id).await.unwrap();
            connect(&two, &id, &format!("../one/{id}")).await.unwrap();
            connected(&one, &id).await.unwrap();
            for qmp in [&one, &two] {
                assert_eq!(end(qmp, &id).await.unwrap(), End::Connected, "{id}");
            }
        }
    }

    /// The listener may come as late as it likes.
    #[tokio::test]
    async fn a_cable_waits_for_who_listens() {
        let parent = tempfile::tempdir().unwrap();
        let (_one, one) = Idle::start(&parent.path().join("one")).await;
        let (_two, two) = Idle::start(&parent.path().join("two")).await;
        let late = async {
            let refused = async || end(&two, "late").await;
            wait_until("a refusal", CONNECTING, Duration::ZERO, || async {
                Ok(match refused().await? {
                    End::Failed => Look::Done(()),
                    other => Look::NotYet(format!("{other:?}")),
                })
            })
            .await?;
            listen(&one, "late", "late").await
        };
        let (listened, plugged) = tokio::join!(late, connect(&two, "late", "../one/late"));
        listened.unwrap();
        plugged.unwrap();
        connected(&one, "late").await.unwrap();
    }
}

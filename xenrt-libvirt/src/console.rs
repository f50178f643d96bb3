//! A stream to and from the console of a guest.

use std::time::Duration;

use tokio::time::Instant;
use virt::connect::Connect;
use xenrt_core::model::{Guest, Host as _};
use xenrt_core::remote::{RemoteError, shorten_middle};
use xenrt_core::{Error, Result};

use crate::connection::Connection;
use crate::host::LibvirtHost;
use crate::observe;
use crate::sys::{EventStream, Found};

/// The verb in errors.
const OPEN: &str = "open the console of";

/// How much of what was read an error shows.
const SHOWN: usize = 1000;

/// A stream to and from the first console of a guest: what it writes from now on, and a keyboard.
///
/// It is closed when this is dropped. It ends when its guest ends, and with the connection to
/// libvirt. What the guest wrote before is in
/// [`console_text`](xenrt_core::model::Guest::console_text).
#[derive(Debug)]
pub struct ConsoleStream {
    /// Gone when this is dropped.
    stream: Option<EventStream>,
    connection: Connection,
    /// `guest "tiny"`.
    object: String,
    /// What was read and not given out yet.
    read: Vec<u8>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl LibvirtHost {
    /// Opens a stream to and from the console of a guest of this host. Before: Running or Paused.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on the driver for tests, under which nothing writes;
    /// [`Error::Toolstack`] of kind `BadState` where it has no domain, and of kind `Other` where
    /// somebody else has its console open; [`Error::Remote`].
    pub async fn open_console(&self, guest: &dyn Guest) -> Result<ConsoleStream> {
        self.shared.facts.driver.require_running_code()?;
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let open = move |connect: &Connect| {
            Ok(EventStream::console(connect, &observe::find(connect, uuid)?)?)
        };
        let deadline = self.entry().deadlines.command;
        let stream = self.shared.call_within(deadline, OPEN, &object, open).await?;
        let connection = self.shared.connection.clone();
        Ok(ConsoleStream { stream: Some(stream), connection, object, read: Vec::new() })
    }
}

impl Drop for ConsoleStream {
    fn drop(&mut self) {
        let stream = self.stream.take();
        self.connection.later(move || drop(stream));
    }
}

impl ConsoleStream {
    /// What came since the last call; waits until something comes, at most `deadline`. `None` when
    /// the guest has ended.
    ///
    /// # Errors
    /// [`Error::Timeout`] when nothing comes; [`Error::Remote`] when the stream broke.
    pub async fn read(&mut self, deadline: Duration) -> Result<Option<Vec<u8>>> {
        let until = Instant::now() + deadline;
        loop {
            let open = self.take_in()?;
            if !self.read.is_empty() {
                return Ok(Some(std::mem::take(&mut self.read)));
            }
            if !open {
                return Ok(None);
            }
            self.changed(until, deadline, "to write something", "nothing").await?;
        }
    }

    /// Reads until `text` has come, and returns everything up to its end. What follows it is left
    /// for the next call; bytes that are no UTF-8 are shown as the replacement character.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the end of what came when `text` does not within `deadline`;
    /// [`Error::Remote`] when the stream broke, or ended with its guest.
    pub async fn read_until(&mut self, text: &str, deadline: Duration) -> Result<String> {
        let until = Instant::now() + deadline;
        let wanted = text.as_bytes();
        loop {
            let open = self.take_in()?;
            let found = self.read.windows(wanted.len().max(1)).position(|own| own == wanted);
            if let Some(at) = found.or(wanted.is_empty().then_some(0)) {
                let rest = self.read.split_off(at + wanted.len());
                let whole = std::mem::replace(&mut self.read, rest);
                return Ok(String::from_utf8_lossy(&whole).into_owned());
            }
            if !open {
                return Err(self.broken(format!("it ended and had not written {text:?}")));
            }
            let seen = String::from_utf8_lossy(&self.read).into_owned();
            let waiting = format!("to write {text:?}");
            self.changed(until, deadline, &waiting, &seen).await?;
        }
    }

    /// Types `bytes` on the keyboard of the console, and returns when libvirt has taken them.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it does not within `deadline`; [`Error::Remote`] when the stream
    /// broke, or ended with its guest.
    pub async fn write(&mut self, bytes: &[u8], deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        self.stream()?.give(bytes);
        loop {
            match self.stream()?.unsent() {
                Ok(0) => return Ok(()),
                Ok(left) => {
                    let seen = format!("{left} bytes of {} are left", bytes.len());
                    self.changed(until, deadline, "to be typed to", &seen).await?;
                }
                Err(end) => {
                    return Err(self.broken(end.unwrap_or_else(|| "its guest ended".to_owned())));
                }
            }
        }
    }

    fn stream(&self) -> Result<&EventStream> {
        self.stream.as_ref().ok_or_else(|| self.broken("it is closed".to_owned()))
    }

    /// Puts what came behind what was read; whether more may come.
    fn take_in(&mut self) -> Result<bool> {
        match self.stream()?.take() {
            Found::Bytes(bytes) => self.read.extend(bytes),
            Found::Nothing => {}
            Found::End(None) => return Ok(false),
            Found::End(Some(message)) => return Err(self.broken(message)),
        }
        Ok(true)
    }

    async fn changed(
        &self,
        until: Instant,
        deadline: Duration,
        waiting: &str,
        seen: &str,
    ) -> Result<()> {
        let changed = self.stream()?.changed();
        tokio::time::timeout_at(until, changed).await.map_err(|_| Error::Timeout {
            waiting_for: format!("the console of {} {waiting}", self.object),
            waited: deadline,
            last_seen: shorten_middle(seen, SHOWN),
        })
    }

    fn broken(&self, message: String) -> Error {
        RemoteError::Disconnected {
            target: self.connection.uri().to_owned(),
            command: format!("read the console of {}", self.object),
            message,
        }
        .into()
    }
}

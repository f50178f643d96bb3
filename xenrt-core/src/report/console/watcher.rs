//! Says where each test is when somebody asks.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use indicatif::MultiProgress;
use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGTSTP, SIGUSR1};
use signal_hook::low_level;

use super::board::Board;
use super::keys::{Keys, is_in_foreground, signals_are_handled};

/// How soon a process that comes to the foreground listens to keys.
const LOOK_EVERY_MS: u16 = 250;

/// Writes the status of the run to standard error when SIGUSR1 comes, or when somebody presses `t`
/// on the terminal.
///
/// Keys are read only where standard input and standard error are terminals, the program is in the
/// foreground and handles Ctrl-C and SIGTERM.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch. `bars` are moved out of the way of what is written.
    ///
    /// # Errors
    /// When the system gives no thread, pipe or signal.
    pub(super) fn start(board: Board, bars: Option<MultiProgress>) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let asked = Pipe::of(SIGUSR1)?;
        let may_read_keys = io::stdin().is_terminal() && io::stderr().is_terminal();
        // Ctrl-Z must find the terminal as it was.
        let paused = may_read_keys.then(|| Pipe::of(SIGTSTP)).transpose()?;
        let watch = Watch { board, bars, stopped, asked, paused };
        let thread = std::thread::Builder::new().name("xenrt-status".to_owned());
        let thread = thread.spawn(move || watch.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Its other end is held by the thread; a thread that is gone need not be told.
        let _ = self.stop.write_all(b".");
        if let Some(thread) = self.thread.take() {
            // It has put the terminal back, or panicked and did so while it unwound.
            let _ = thread.join();
        }
    }
}

/// A signal as something that can be read.
#[derive(Debug)]
struct Pipe {
    reader: UnixStream,
    id: signal_hook::SigId,
}

impl Pipe {
    fn of(signal: i32) -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let id = low_level::pipe::register(signal, writer)?;
        Ok(Self { reader, id })
    }

    /// Takes what came; whether anything did.
    fn take(&self) -> bool {
        let mut bytes = [0; 64];
        (&self.reader).read(&mut bytes).is_ok_and(|length| length > 0)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        low_level::unregister(self.id);
    }
}

struct Watch {
    board: Board,
    bars: Option<MultiProgress>,
    stopped: UnixStream,
    asked: Pipe,
    paused: Option<Pipe>,
}

impl Watch {
    fn run(self) {
        // In the background these would stop the whole program; blocked here, a read fails instead.
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGTTIN);
        blocked.add(Signal::SIGTTOU);
        if blocked.thread_block().is_err() {
            return;
        }
        let mut keys: Option<Keys> = None;
        loop {
            keys = self.listen(keys);
            let Some(ready) = self.wait(keys.is_some()) else { return };
            if ready.stop {
                return;
            }
            if ready.paused {
                drop(keys.take());
                // Returns when the program goes on.
                if low_level::emulate_default_handler(SIGTSTP).is_err() {
                    return;
                }
            }
            let pressed = match keys.as_ref().filter(|_| ready.keys).map(Keys::read) {
                // A terminal that is gone is always ready and has no keys.
                Some(Ok(pressed)) if pressed.is_empty() && !io::stdin().is_terminal() => return,
                Some(Ok(pressed)) => pressed.contains(&b't'),
                Some(Err(_)) if !io::stdin().is_terminal() => return,
                Some(Err(_)) | None => false,
            };
            if ready.asked || pressed {
                self.tell();
            }
        }
    }

    /// Listens to keys where that may be done, and does not where it may not.
    fn listen(&self, keys: Option<Keys>) -> Option<Keys> {
        let may = self.paused.is_some() && is_in_foreground();
        match keys {
            None if may && signals_are_handled() => Keys::listen().ok(),
            None => None,
            Some(keys) if may => Some(keys),
            Some(keys) => {
                // The shell has given the terminal its own modes.
                keys.leave();
                None
            }
        }
    }

    /// Waits until something comes; `None` when that cannot be waited for.
    fn wait(&self, keys: bool) -> Option<Ready> {
        let stdin = io::stdin();
        let mut files = vec![&self.stopped, &self.asked.reader];
        files.extend(self.paused.as_ref().map(|paused| &paused.reader));
        let mut polled: Vec<_> =
            files.iter().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)).collect();
        if keys {
            polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        let timeout = match self.paused {
            Some(_) => PollTimeout::from(LOOK_EVERY_MS),
            None => PollTimeout::NONE,
        };
        match poll(&mut polled, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
        let any = |at: usize| polled.get(at).is_some_and(|file| file.any() == Some(true));
        Some(Ready {
            stop: any(0),
            keys: keys && any(polled.len() - 1),
            asked: self.asked.take(),
            paused: self.paused.as_ref().is_some_and(Pipe::take),
        })
    }

    fn tell(&self) {
        let text = self.board.lock().status(Timestamp::now());
        // Who closed standard error does not want to read it.
        let write = || drop(io::stderr().lock().write_all(text.as_bytes()));
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

struct Ready {
    stop: bool,
    asked: bool,
    paused: bool,
    keys: bool,
}

//! A terminal that gives each key at once, and is put back whatever happens.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

/// How the terminal was before, while it is changed: what a panic of the program must put back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal on standard input in a mode in which keys come at once and are not shown. Ctrl-C
/// and Ctrl-Z keep their meaning. It is put back when this is dropped, and when the main thread
/// panics.
#[derive(Debug)]
pub(super) struct Keys(());

impl Keys {
    /// Changes the terminal. A process in the background must not call this: it would change the
    /// terminal of whoever is in the foreground.
    pub(super) fn listen() -> io::Result<Self> {
        put_back_when_the_program_panics();
        let stdin = io::stdin();
        let was = tcgetattr(stdin.as_fd())?;
        let mut changed = was.clone();
        changed.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // A read returns at once, with what there is.
        changed.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
        changed.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        *before() = Some(was);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &changed)?;
        Ok(Self(()))
    }

    /// The keys that were pressed since the last call.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut keys = [0; 64];
        let length = nix::unistd::read(io::stdin().as_fd(), &mut keys)?;
        Ok(keys[..length].to_vec())
    }

    /// Lets the terminal go as it is: it belongs to somebody else now, who put it back.
    pub(super) fn leave(self) {
        *before() = None;
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        put_back();
    }
}

fn put_back() {
    if let Some(was) = before().take() {
        // There is nobody left to tell if the terminal is gone.
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &was);
    }
}

/// A panic of the main thread ends the program and drops nothing of other threads.
fn put_back_when_the_program_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let programs_own = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some("main") {
                put_back();
            }
            programs_own(info);
        }));
    });
}

/// Whether this process may use the terminal on standard input now.
pub(super) fn is_in_foreground() -> bool {
    let group = nix::unistd::tcgetpgrp(io::stdin().as_fd());
    group.is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// Whether the program ends in order when somebody presses Ctrl-C or sends SIGTERM. In one that
/// does not, nothing would put the terminal back.
pub(super) fn signals_are_handled() -> bool {
    use nix::sys::signal::Signal::{SIGINT, SIGTERM};
    // `SigCgt` is the mask of signals with a handler, in hexadecimal (proc(5)).
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [SIGINT, SIGTERM].into_iter().all(|signal| mask & (1 << (signal as u32 - 1)) != 0)
}

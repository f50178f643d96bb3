//! Streams whose bytes come and go by libvirt's event loop.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

use super::check;

/// So many bytes are kept for a reader that is slow; then no more are taken from libvirt.
const MOST: usize = 1 << 20;

/// What a non-blocking call returns that would have to wait (virStreamRecv).
const WOULD_BLOCK: c_int = -2;

/// A stream that is open. Closing it asks the daemon and may block: it is dropped on a thread for
/// that.
pub(crate) struct EventStream(Arc<Inner>);

struct Inner {
    stream: sys::virStreamPtr,
    state: Mutex<State>,
    changed: Notify,
}

// SAFETY: libvirt's streams have locks of their own and may be used by any thread.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

#[derive(Default)]
struct State {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    /// Set when nothing more comes: with the message of an error, or without where it just ended.
    end: Option<Option<String>>,
}

/// What a look at a stream finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// What came since the last look.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// It ended; with the message of an error where it was one.
    End(Option<String>),
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic is done while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the event loop look for what there is to do.
    fn update(&self, state: &State) {
        let mut events = sys::VIR_STREAM_EVENT_ERROR | sys::VIR_STREAM_EVENT_HANGUP;
        if state.end.is_some() {
            return;
        }
        if state.incoming.len() < MOST {
            events |= sys::VIR_STREAM_EVENT_READABLE;
        }
        if !state.outgoing.is_empty() {
            events |= sys::VIR_STREAM_EVENT_WRITABLE;
        }
        // SAFETY: the stream is valid as long as this is. One that ended has nothing to look for.
        let _ = unsafe { sys::virStreamEventUpdateCallback(self.stream, events as c_int) };
    }

    /// Takes what there is, up to the limit.
    fn receive(&self, state: &mut State) {
        let mut buffer = [0u8; 16 * 1024];
        while state.incoming.len() < MOST && state.end.is_none() {
            // SAFETY: the buffer has room for as many bytes as libvirt is told.
            let got = unsafe {
                sys::virStreamRecv(self.stream, buffer.as_mut_ptr().cast(), buffer.len())
            };
            match usize::try_from(got) {
                Ok(0) => state.end = Some(None),
                Ok(got) => state.incoming.extend(&buffer[..got]),
                Err(_) if got == WOULD_BLOCK => return,
                Err(_) => state.end = Some(Some(Error::last_error().message().to_owned())),
            }
        }
    }

    /// Sends what is to be sent, as far as libvirt takes it.
    fn send(&self, state: &mut State) {
        while state.end.is_none() {
            let (bytes, _) = state.outgoing.as_slices();
            if bytes.is_empty() {
                return;
            }
            // SAFETY: the bytes are valid during the call.
            let sent =
                unsafe { sys::virStreamSend(self.stream, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(sent) {
                Ok(sent) => drop(state.outgoing.drain(..sent)),
                Err(_) if sent == WOULD_BLOCK => return,
                Err(_) => state.end = Some(Some(Error::last_error().message().to_owned())),
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: nobody else has the stream any more.
        unsafe { sys::virStreamFree(self.stream) };
    }
}

/// Blocks.
impl Drop for EventStream {
    fn drop(&mut self) {
        // SAFETY: the stream is valid. Where the event loop let it go already, or it ended, nothing
        // is done; what the loop holds of it is given back to `forget`.
        unsafe {
            sys::virStreamEventRemoveCallback(self.0.stream);
            sys::virStreamAbort(self.0.stream);
        }
    }
}

impl EventStream {
    /// Opens a stream to and from the console of a domain (virDomainOpenConsole). Blocks.
    pub(crate) fn console(connect: &Connect, domain: &Domain) -> Result<Self, Error> {
        // SAFETY: the connection is open.
        let stream = unsafe { sys::virStreamNew(connect.as_ptr(), sys::VIR_STREAM_NONBLOCK) };
        if stream.is_null() {
            return Err(Error::last_error());
        }
        let inner = Arc::new(Inner { stream, state: Mutex::default(), changed: Notify::new() });
        // SAFETY: both pointers are valid; without a name it is the first console.
        check(unsafe { sys::virDomainOpenConsole(domain.as_ptr(), std::ptr::null(), stream, 0) })?;
        let events = sys::VIR_STREAM_EVENT_READABLE
            | sys::VIR_STREAM_EVENT_ERROR
            | sys::VIR_STREAM_EVENT_HANGUP;
        let own = Arc::into_raw(Arc::clone(&inner)).cast_mut().cast::<c_void>();
        // SAFETY: the pointer stays valid until libvirt gives it back to `forget`.
        let added = unsafe {
            sys::virStreamEventAddCallback(
                stream,
                events as c_int,
                Some(on_event),
                own,
                Some(forget),
            )
        };
        if added < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt did not take it.
            unsafe { forget(own) };
            return Err(error);
        }
        Ok(Self(inner))
    }

    /// What came since the last look.
    pub(crate) fn take(&self) -> Found {
        let mut state = self.0.state();
        if state.incoming.is_empty() {
            return state.end.clone().map_or(Found::Nothing, Found::End);
        }
        let was_full = state.incoming.len() >= MOST;
        let bytes = std::mem::take(&mut state.incoming).into();
        if was_full {
            self.0.update(&state);
        }
        Found::Bytes(bytes)
    }

    /// Has these bytes sent when libvirt takes them.
    pub(crate) fn give(&self, bytes: &[u8]) {
        let mut state = self.0.state();
        state.outgoing.extend(bytes);
        self.0.update(&state);
    }

    /// How many bytes were not taken by libvirt yet; the end where it has one.
    pub(crate) fn unsent(&self) -> Result<usize, Option<String>> {
        let state = self.0.state();
        match &state.end {
            Some(end) => Err(end.clone()),
            None => Ok(state.outgoing.len()),
        }
    }

    /// Until something came, went or ended since the last time that this was waited for.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

unsafe extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: it is the pointer that was made for this stream, and its only end.
    drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<Inner>()) });
}

/// On the thread of the event loop; it does not wait.
unsafe extern "C" fn on_event(stream: sys::virStreamPtr, events: c_int, opaque: *mut c_void) {
    // SAFETY: libvirt holds the pointer that was made for this stream.
    let inner = unsafe { &*opaque.cast_const().cast::<Inner>() };
    let events = events.cast_unsigned();
    let mut state = inner.state();
    if events & sys::VIR_STREAM_EVENT_READABLE != 0 {
        inner.receive(&mut state);
    }
    if events & sys::VIR_STREAM_EVENT_WRITABLE != 0 {
        inner.send(&mut state);
    }
    if events & (sys::VIR_STREAM_EVENT_ERROR | sys::VIR_STREAM_EVENT_HANGUP) != 0 {
        inner.receive(&mut state);
        let failed = events & sys::VIR_STREAM_EVENT_ERROR != 0;
        let why = failed.then(|| "the stream broke".to_owned());
        state.end.get_or_insert(why);
    }
    let over = state.end.is_some();
    inner.update(&state);
    drop(state);
    inner.changed.notify_one();
    if over {
        // SAFETY: the stream is valid. `inner` is not used after it: libvirt gives it back.
        unsafe { sys::virStreamEventRemoveCallback(stream) };
    }
}

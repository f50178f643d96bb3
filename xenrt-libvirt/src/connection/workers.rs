//! Threads for calls that block.
//!
//! Not the blocking threads of the runtime: one that hangs there keeps the program from ending.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// So many calls are carried out at once; a daemon has five workers for its clients (libvirtd.conf:
/// max_client_requests is 5).
const MOST: usize = 5;

/// A thread that has had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(20);

/// A thread whose job was shorter than this looks out for the next one so long before it sleeps: to
/// be woken takes longer than such a job, and where they are short they come one upon the other.
const LOOK_OUT: Duration = Duration::from_micros(50);

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

/// Some threads, begun when they are needed.
#[derive(Debug, Default)]
pub(super) struct Workers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<Queue>,
    /// How many jobs wait, for the thread that looks out for one.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Those that have nothing to do. The last is called first: what it needs is still in the caches
    /// of its processor and of its allocator.
    idle: Vec<Thread>,
    /// One thread is awake and will come to a job that is handed in.
    looking_out: bool,
    threads: usize,
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.jobs.len()).finish_non_exhaustive()
    }
}

struct Job {
    state: Arc<AtomicU8>,
    run: Box<dyn FnOnce() + Send>,
}

/// A job that was handed in.
#[derive(Debug)]
pub(super) struct Ticket {
    state: Arc<AtomicU8>,
    inner: Arc<Inner>,
    over: bool,
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that could panic is done while it is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(self: &Arc<Self>) {
        let mut queue = self.queue();
        let mut was_short = false;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                self.waiting.store(queue.jobs.len(), Ordering::Relaxed);
                let begun = job.state.compare_exchange(
                    WAITING,
                    RUNNING,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                if begun.is_err() {
                    continue;
                }
                drop(queue);
                let since = Instant::now();
                (job.run)();
                was_short = since.elapsed() < LOOK_OUT;
                if job.state.swap(DONE, Ordering::AcqRel) == GIVEN_UP {
                    // Another thread was counted in the place of this one.
                    return;
                }
                queue = self.queue();
                continue;
            }
            if queue.closed {
                queue.threads -= 1;
                return;
            }
            if std::mem::take(&mut was_short) && !queue.looking_out {
                queue.looking_out = true;
                drop(queue);
                self.look_out();
                queue = self.queue();
                queue.looking_out = false;
                continue;
            }
            let own = std::thread::current();
            queue.idle.push(own.clone());
            let since = Instant::now();
            loop {
                drop(queue);
                std::thread::park_timeout(IDLE.saturating_sub(since.elapsed()));
                queue = self.queue();
                let Some(at) = queue.idle.iter().position(|idle| idle.id() == own.id()) else {
                    break; // It was called.
                };
                if queue.closed || since.elapsed() >= IDLE {
                    queue.idle.remove(at);
                    queue.threads -= 1;
                    return;
                }
            }
        }
    }
}

impl Inner {
    /// Returns when a job waits, or nothing came for a while.
    fn look_out(&self) {
        let since = Instant::now();
        while self.waiting.load(Ordering::Relaxed) == 0 && since.elapsed() < LOOK_OUT {
            // Who hands one in may need this processor for it.
            std::thread::yield_now();
        }
    }
}

impl Workers {
    /// Has a thread do `run`.
    ///
    /// # Errors
    /// When there is none and none can be begun.
    pub(super) fn hand_in(&self, run: impl FnOnce() + Send + 'static) -> std::io::Result<Ticket> {
        let state = Arc::new(AtomicU8::new(WAITING));
        let ticket = Ticket { state: Arc::clone(&state), inner: Arc::clone(&self.0), over: false };
        let mut queue = self.0.queue();
        queue.jobs.push_back(Job { state, run: Box::new(run) });
        self.0.waiting.store(queue.jobs.len(), Ordering::Relaxed);
        if queue.looking_out && queue.jobs.len() == 1 {
            return Ok(ticket);
        }
        if let Some(idle) = queue.idle.pop() {
            drop(queue);
            idle.unpark();
            return Ok(ticket);
        }
        if queue.threads >= MOST {
            return Ok(ticket);
        }
        let inner = Arc::clone(&self.0);
        let begun =
            std::thread::Builder::new().name("libvirt-call".to_owned()).spawn(move || inner.work());
        match begun {
            Ok(_) => queue.threads += 1,
            Err(error) if queue.threads == 0 => {
                queue.jobs.pop_back();
                self.0.waiting.store(queue.jobs.len(), Ordering::Relaxed);
                return Err(error);
            }
            // Those that there are will come to it.
            Err(_) => {}
        }
        Ok(ticket)
    }
}

/// What waits is still done; then the threads end.
impl Drop for Workers {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        queue.idle.iter().for_each(Thread::unpark);
    }
}

/// A job that nobody waits for any more is not begun; the thread of one that was is replaced.
impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.over && self.state.swap(GIVEN_UP, Ordering::AcqRel) == RUNNING {
            self.inner.queue().threads -= 1;
        }
    }
}

impl Ticket {
    /// Its job has told what it had to tell.
    pub(super) fn over(mut self) {
        self.over = true;
    }

    /// Whether its job has been begun.
    pub(super) fn begun(&self) -> bool {
        self.state.load(Ordering::Acquire) != WAITING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn jobs_are_done_at_once_as_far_as_there_are_threads() {
        let workers = Workers::default();
        let (told, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let tickets: Vec<Ticket> = (0..MOST + 2)
            .map(|number| {
                let (told, wait) = (told.clone(), Arc::clone(&wait));
                let job = move || {
                    told.send(number).unwrap();
                    wait.lock().unwrap().recv_timeout(SOON).unwrap();
                };
                workers.hand_in(job).unwrap()
            })
            .collect();
        for _ in 0..MOST {
            heard.recv_timeout(SOON).unwrap();
        }
        assert_eq!(tickets.iter().filter(|ticket| ticket.begun()).count(), MOST);
        (0..MOST + 2).for_each(|_| go.send(()).unwrap());
        heard.recv_timeout(SOON).unwrap();
        heard.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn jobs_that_come_one_upon_the_other_are_all_done() {
        let workers = Workers::default();
        let (told, heard) = mpsc::channel();
        for number in 0..20_000_u32 {
            let told = told.clone();
            workers.hand_in(move || told.send(number).unwrap()).unwrap().over();
            // Some come while a thread looks out for them, some as it falls asleep, some after that.
            if number % 3 == 0 {
                heard.recv_timeout(SOON).unwrap();
            }
            if number % 100 == 0 {
                let since = Instant::now();
                while since.elapsed() < LOOK_OUT * (number / 100 % 4) / 2 {
                    std::hint::spin_loop();
                }
            }
        }
        drop(told);
        let rest = 20_000 - 20_000_usize.div_ceil(3);
        let done = std::iter::from_fn(|| heard.recv_timeout(SOON).ok()).count();
        assert_eq!(done, rest);
    }

    #[test]
    fn threads_that_hang_are_replaced_and_what_nobody_waits_for_is_not_begun() {
        let workers = Workers::default();
        let (told, heard) = mpsc::channel();
        let (end, hang) = mpsc::channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let hanging: Vec<Ticket> = (0..MOST)
            .map(|_| {
                let (told, hang) = (told.clone(), Arc::clone(&hang));
                let job = move || {
                    told.send("begun").unwrap();
                    let _ = hang.lock().unwrap().recv_timeout(SOON);
                };
                workers.hand_in(job).unwrap()
            })
            .collect();
        for _ in 0..MOST {
            assert_eq!(heard.recv_timeout(SOON).unwrap(), "begun");
        }
        let late = told.clone();
        let unwanted = workers.hand_in(move || late.send("unwanted").unwrap()).unwrap();
        drop(unwanted);
        drop(hanging);
        let next = workers.hand_in(move || told.send("next").unwrap()).unwrap();
        assert_eq!(heard.recv_timeout(SOON).unwrap(), "next");
        drop((next, end));
    }
}

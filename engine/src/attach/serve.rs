//! engine.sock, the owner's side: who may connect, how many, and how it ends.
//!
//! Laws
//! - Only the holder of STORE/LOCK gets here (a `Store` is the proof), so it alone unlinks and binds
//!   the socket; it removes its own name before the lock is given up.
//! - Ending lets every request that has begun finish, or fail whole: nobody is cut off between
//!   "durable" and hearing of it.
//! - A client that stalls in the middle of a request is dropped after a minute; an idle one costs a
//!   thread that sleeps.

use super::converse::converse;
use super::local::Local;
use super::peer;
use super::socket_path;
use super::wire::Role;
use crate::error::{Error, Result};
use crate::ops::Store;
use parking_lot::{Condvar, Mutex};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::Shutdown;
use std::collections::HashMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Clients at one time; more are refused with a word.
const CLIENTS_MAX: usize = 256;

/// engine.sock while it is served; dropping it ends the service.
pub struct Guard {
    shared: Arc<Shared>,
    listener: Arc<UnixListener>,
    path: PathBuf,
    accepting: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    pub local: Local,
    pub role: Role,
    stopping: AtomicBool,
    wanted: Mutex<bool>,
    wanted_changed: Condvar,
    clients: Mutex<Clients>,
    none_left: Condvar,
}

#[derive(Default)]
struct Clients {
    next: u64,
    streams: HashMap<u64, UnixStream>,
}

/// Serves STORE/engine.sock for an open store, from threads of its own.
pub fn serve(store: Store, dir: &Path, role: Role) -> Result<Guard> {
    let path = socket_path(dir);
    let context = |what: &str| format!("{what} {}", path.display());
    // What an owner that was killed left behind.
    match rustix::fs::unlink(&path) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(Error::io(context("removing"), errno.into())),
    }
    let listener = UnixListener::bind(&path).map_err(|e| Error::io(context("listening on"), e))?;
    rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| Error::io(context("protecting"), errno.into()))?;
    let listener = Arc::new(listener);
    let shared = Arc::new(Shared {
        local: Local::new(store),
        role,
        stopping: AtomicBool::new(false),
        wanted: Mutex::new(false),
        wanted_changed: Condvar::new(),
        clients: Mutex::default(),
        none_left: Condvar::new(),
    });
    let (of_thread, accepted_by) = (shared.clone(), listener.clone());
    let accepting = thread::Builder::new()
        .name("engine.sock".into())
        .spawn(move || accept(&of_thread, &accepted_by))
        .map_err(|e| Error::io("starting a thread", e))?;
    Ok(Guard { shared, listener, path, accepting: Some(accepting) })
}

impl Guard {
    /// Waits until a server asks for the store (`true`) or the service ends, without holding the guard.
    pub(super) fn waiter(&self) -> impl FnOnce() -> bool + Send + 'static {
        let shared = self.shared.clone();
        move || shared.wait_for_hand_over()
    }

    fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.begin_stopping();
        // The name goes first: whoever looks for an owner now finds none, and waits for the lock.
        let _ = rustix::fs::unlink(&self.path);
        // Wakes the thread that waits for connections (accept answers EINVAL).
        let _ = rustix::net::shutdown(&*self.listener, Shutdown::Both);
        if accepting.join().is_err() {
            tracing::error!("the thread of engine.sock panicked");
        }
        let mut clients = self.shared.clients.lock();
        for stream in clients.streams.values() {
            // No further request is read; answers still go out.
            drop(stream.shutdown(std::net::Shutdown::Read));
        }
        while !clients.streams.is_empty() {
            self.shared.none_left.wait(&mut clients);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn begin_stopping(&self) {
        // Under the lock, so that no waiter misses it between its look and its sleep.
        let _wanted = self.wanted.lock();
        self.stopping.store(true, Ordering::SeqCst);
        self.wanted_changed.notify_all();
    }

    /// A server wants the store: a tool gives it up, another server does not.
    pub fn ask_for_hand_over(&self) -> Result<()> {
        if self.role == Role::Server {
            let pid = std::process::id();
            return Err(Error::NotPossible(format!("the store is served by process {pid} already")));
        }
        *self.wanted.lock() = true;
        self.wanted_changed.notify_all();
        Ok(())
    }

    fn wait_for_hand_over(&self) -> bool {
        let mut wanted = self.wanted.lock();
        while !*wanted && !self.is_stopping() {
            self.wanted_changed.wait(&mut wanted);
        }
        *wanted
    }

    fn enter(&self, stream: &UnixStream) -> Result<u64> {
        let watched = stream.try_clone().map_err(super::frame::lost)?;
        let mut clients = self.clients.lock();
        if clients.streams.len() >= CLIENTS_MAX {
            return Err(Error::Limit(format!("{CLIENTS_MAX} connections to engine.sock")));
        }
        let number = clients.next;
        clients.next += 1;
        clients.streams.insert(number, watched);
        Ok(number)
    }

    fn leave(&self, number: u64) {
        let mut clients = self.clients.lock();
        clients.streams.remove(&number);
        if clients.streams.is_empty() {
            self.none_left.notify_all();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &UnixListener) {
    while !shared.is_stopping() {
        match listener.accept() {
            Ok((stream, _)) => admit(shared, stream),
            Err(_) if shared.is_stopping() => return,
            Err(error) => {
                tracing::warn!(%error, "engine.sock cannot accept");
                // Out of descriptors, most likely: give others time to close some.
                thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: UnixStream) {
    if !peer::is_trusted(&stream) {
        tracing::warn!("a process of another user was refused on engine.sock");
        return;
    }
    let number = match shared.enter(&stream) {
        Ok(number) => number,
        Err(error) => {
            tracing::warn!(%error, "a connection was refused on engine.sock");
            return;
        }
    };
    let of_thread = shared.clone();
    let spawned = thread::Builder::new().name("attached".into()).spawn(move || {
        let _left = Left { shared: &of_thread, number };
        match converse(&of_thread, stream) {
            Ok(()) => {}
            Err(error) => tracing::debug!(error = error.label(), "an attached client went away"),
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread for a connection on engine.sock");
        shared.leave(number);
    }
}

/// Takes a client off the list however its thread ends.
struct Left<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.number);
    }
}

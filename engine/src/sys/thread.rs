//! What a thread may say of itself to the system.

/// Lowers the priority of the calling thread: it works when others leave it the processor.
pub fn be_modest() {
    const NICE: i32 = 5;
    // On Linux "this process" is the calling thread. Where it is refused, nothing is lost.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

//! What the tests of the `mailcask` command share: a store in a folder of its own, the command, a
//! server.
//!
//! Law: a test ends with `Cask::check`, which is `mailcask check --deep` (the one about damage with a check
//! that finds it).
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses some of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

pub struct Cask {
    pub dir: tempfile::TempDir,
}

impl Cask {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A store with the account `ann`, password `secret`.
    pub fn with_ann() -> Self {
        let cask = Self::new();
        cask.feed(&["account", "add", "ann", "--password-stdin"], b"secret\n");
        cask
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailcask"));
        command
            .args(args)
            .arg("--store")
            .arg(self.store())
            .current_dir(self.dir.path())
            .env_remove("RUST_LOG");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs what has to succeed; answers its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// Runs what has to succeed, with bytes on its stdin.
    pub fn feed(&self, args: &[&str], stdin: &[u8]) -> String {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs what has to fail, with that status and one line on stderr, which is answered.
    pub fn refused(&self, status: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.starts_with("mailcask: "), "{args:?}: {stderr}");
        stderr
    }

    /// How many messages a mailbox has.
    pub fn messages(&self, mailbox: &str) -> u64 {
        let mailboxes = self.json(&["mailbox", "list", "ann"]);
        let found = mailboxes.as_array().unwrap().iter().find(|m| m["name"] == mailbox);
        found.map_or(0, |m| m["messages"].as_u64().unwrap())
    }

    pub fn check(&self) {
        let report = self.json(&["check", "--deep"]);
        assert_eq!(report["findings"], serde_json::json!([]));
    }
}

/// `mailcask serve` on ports of its own.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub imap: String,
    pub lmtp: String,
    /// What was printed before the listeners.
    pub said: Vec<String>,
}

impl Server {
    pub fn start(cask: &Cask) -> Self {
        Self::start_with(cask, &["serve", "--imap", "127.0.0.1:0", "--lmtp", "127.0.0.1:0"])
    }

    pub fn start_with(cask: &Cask, args: &[&str]) -> Self {
        let mut child = cask.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (imap, lmtp, said) = (String::new(), String::new(), Vec::new());
        let mut server = Self { child, stdout, imap, lmtp, said };
        while server.lmtp.is_empty() {
            let mut line = String::new();
            assert!(server.stdout.read_line(&mut line).unwrap() > 0, "the server ended at its start");
            match line.trim_end().split_once(' ') {
                Some(("imap", address)) => server.imap = address.to_owned(),
                Some(("lmtp", address)) => server.lmtp = address.to_owned(),
                _ => server.said.push(line.trim_end().to_owned()),
            }
        }
        server
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
    }

    /// A conversation in lines over TCP; answers what came until the other side closed.
    pub fn converse(address: &str, text: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended when the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Messages that make trouble, with LF newlines: `From ` lines, quoted ones, bare CR, 8-bit bytes, long
/// lines, no body, blank lines at the end. Each ends in a newline, as an mbox needs it.
pub fn messages(count: u32) -> Vec<Vec<u8>> {
    let bodies: [&[u8]; 8] = [
        b"plain\n",
        b"From here\n>From there\n>>From both\n From none\n",
        b"a bare \r in the line\n",
        b"caf\xe9 \xff\xfe 8 bits\n",
        b"",
        b"blank lines at the end\n\n\n\n",
        b"\nbegins with one\n.\n..\n",
        b"From a@b Wed Jan  2 18:55:00 2002\n",
    ];
    (0..count)
        .map(|n| {
            let body = bodies[n as usize % bodies.len()];
            let long = if n % 50 == 49 { "x".repeat(300_000) + "\n" } else { String::new() };
            let header = format!(
                "Return-Path: <sender{n}@example.org>\nSubject: message {n}\nMessage-ID: <{n}@example.org>\n\n"
            );
            [header.as_bytes(), body, long.as_bytes()].concat()
        })
        .collect()
}

/// An mboxrd of them, made without the code under test.
pub fn mbox(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, message) in messages.iter().enumerate() {
        let (minute, second) = (n / 60 % 60, n % 60);
        writeln!(out, "From sender{n}@example.org Wed Jan  2 18:{minute:02}:{second:02} 2002").unwrap();
        for line in message.split_inclusive(|&b| b == b'\n') {
            let unquoted = line.iter().position(|&b| b != b'>').unwrap_or(0);
            if line[unquoted..].starts_with(b"From ") {
                out.push(b'>');
            }
            out.extend_from_slice(line);
        }
        out.push(b'\n');
    }
    out
}

/// The bytes of every file of a folder, in the order of their names.
pub fn files(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

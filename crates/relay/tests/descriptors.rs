//! A relay that runs out of file descriptors: it neither spins nor fills its log, serves whom it has, and recovers.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use crate::support::*;
use subrosa_wire::submit::{SubmitClientFrame, SubmitServerFrame};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpSocket, TcpStream},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

/// How long the relay is watched while nothing can be accepted.
const WINDOW: Duration = Duration::from_secs(1);

struct Process {
    child: Child,
    at: At,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts a relay with at most `files` descriptors.
    async fn start(data: &Path, files: u64) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_subrosa-relay")])
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = soon(lines.next_line()).await.unwrap().expect("no start line");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { at: At::of(value["url"].as_str().unwrap()), child, log }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id().unwrap())
    }

    fn open_files(&self) -> u64 {
        std::fs::read_dir(self.proc("fd")).unwrap().count() as u64
    }

    /// Processor time so far, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// The next line of the log that has `text` in it.
    async fn logged(&mut self, text: &str) -> String {
        let looking = async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("the relay ended");
                if line.contains(text) {
                    return line;
                }
            }
        };
        soon(looking).await
    }
}

/// A connection from another address of this machine.
async fn connect_from(source: &str, at: &At) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let to: SocketAddr = at.authority.parse().unwrap();
    soon(socket.connect(to)).await.unwrap()
}

async fn asks_for_health(stream: &mut TcpStream) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

async fn still_answers(submitter: &mut Submitter) {
    submitter.send(&SubmitClientFrame::Ping).await;
    assert_eq!(submitter.next().await, Some(SubmitServerFrame::Pong));
}

#[tokio::test]
async fn without_descriptors_accepting_pauses_and_everybody_inside_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let base = Process::start(&dir.path().join("base"), 200).await.open_files();
    // A few more than it needs: fewer than the connections it then thinks possible.
    let mut relay = Process::start(&dir.path().join("tight"), base + 4).await;
    relay.logged("limit of open files").await;
    let at = relay.at.clone();
    let mut inside = Submitter::open(&at).await;
    let mut crowd = Vec::new();
    for _ in 0..12 {
        crowd.push(connect_from("127.0.0.2", &at).await);
    }
    relay.logged("accepting a connection failed").await;
    let before = relay.ticks();
    let more = timeout(WINDOW, relay.log.next_line()).await;
    assert!(more.is_err(), "it is said once: {more:?}");
    let spent = relay.ticks() - before;
    assert!(spent < 40, "{spent} hundredths of a second of processor time for waiting a second");
    still_answers(&mut inside).await;
    drop(crowd);
    asks_for_health(&mut connect_from("127.0.0.3", &at).await).await;
    still_answers(&mut inside).await;
}

#[tokio::test]
async fn one_address_leaves_a_quarter_of_the_connections_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = Process::start(dir.path(), 96).await;
    let line = relay.logged("fewer connections").await;
    assert!(line.contains("32"), "{line}");
    let at = relay.at.clone();
    let mut crowd = Vec::new();
    for _ in 0..24 {
        let mut stream = connect_from("127.0.0.2", &at).await;
        asks_for_health(&mut stream).await;
        crowd.push(stream);
    }
    let mut refused = connect_from("127.0.0.2", &at).await;
    refused.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rest(&mut refused).await.starts_with(b"HTTP/1.1 429"));
    asks_for_health(&mut connect_from("127.0.0.3", &at).await).await;
}

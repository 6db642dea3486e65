//! An HTTP server on loopback that serves a registry, and does everything a server can do wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::fixture::Files;

/// How a file is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Content(Vec<u8>),
    Status(u16),
    /// Another status this many times, then the content.
    Late(u32, Vec<u8>),
    /// Less than was promised.
    Cut(Vec<u8>),
    Redirect(String),
    /// Nothing, for as long as the other side waits.
    Silence,
}

/// What the connections share.
#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: Mutex<Vec<String>>,
    watchers: Mutex<Vec<Sender<String>>>,
}

/// Serves until the process ends.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new(files: &Files) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                // A client that goes away in the middle is no concern here.
                thread::spawn(move || serve(stream, &shared).ok());
            }
        });
        let server = Server { address, shared };
        for (path, content) in files {
            server.answer(path, Answer::Content(content.clone()));
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer);
    }

    /// The paths asked for since the last call, sorted.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut *self.shared.requests.lock().unwrap());
        requests.sort();
        requests
    }

    /// Each path from now on, when it is asked for.
    pub(crate) fn watch(&self) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        self.shared.watchers.lock().unwrap().push(sender);
        receiver
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.trim_start_matches('/').to_owned();
    shared.requests.lock().unwrap().push(path.clone());
    let watchers = shared.watchers.lock().unwrap().clone();
    for watcher in watchers {
        watcher.send(path.clone()).ok();
    }
    let answer = next(shared, &path);
    match answer {
        Answer::Content(content) => respond(&mut stream, "200 OK", content.len(), &content),
        Answer::Late(_, content) => respond(&mut stream, "503 Busy", content.len(), &content),
        Answer::Status(status) => respond(&mut stream, &format!("{status} Status"), 0, b""),
        Answer::Cut(content) => respond(&mut stream, "200 OK", content.len() + 1, &content),
        Answer::Redirect(target) => {
            let head = format!("302 Found\r\nLocation: {target}");
            respond(&mut stream, &head, 0, b"")
        }
        Answer::Silence => reader.read_to_end(&mut Vec::new()).map(drop),
    }
}

/// The answer of this time.
fn next(shared: &Shared, path: &str) -> Answer {
    let mut answers = shared.answers.lock().unwrap();
    match answers.get_mut(path) {
        None => Answer::Status(404),
        Some(Answer::Late(0, content)) => Answer::Content(content.clone()),
        Some(Answer::Late(times, content)) => {
            *times -= 1;
            Answer::Late(*times, content.clone())
        }
        Some(answer) => answer.clone(),
    }
}

fn respond(
    stream: &mut TcpStream,
    head: &str,
    length: usize,
    content: &[u8],
) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(content)
}

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
    /// Status 503 this many times, then the content.
    Late(u32, Vec<u8>),
    /// Status 429 with these header lines, then the content.
    Pause(&'static str, Vec<u8>),
    /// Always the same status, with these header lines.
    Refusal(u16, &'static str),
    /// In pieces, as a proxy sends it that does not know the length.
    Chunked(Vec<u8>),
    /// Less than was promised.
    Cut(Vec<u8>),
    /// Less than was promised, in pieces.
    CutChunked(Vec<u8>),
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

/// Answers on one connection as long as the client keeps it.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(path) = request(&mut reader)? {
        shared.requests.lock().unwrap().push(path.clone());
        let watchers = shared.watchers.lock().unwrap().clone();
        for watcher in watchers {
            watcher.send(path.clone()).ok();
        }
        match next(shared, &path) {
            Answer::Content(content) => respond(&mut stream, "200 OK", content.len(), &content)?,
            Answer::Late(_, content) => {
                respond(&mut stream, "503 Busy", content.len(), &content)?;
            }
            Answer::Status(status) => respond(&mut stream, &format!("{status} Status"), 0, b"")?,
            Answer::Pause(lines, _) => {
                respond(&mut stream, &format!("429 Too Many\r\n{lines}"), 0, b"")?;
            }
            Answer::Refusal(status, lines) => {
                respond(&mut stream, &format!("{status} Status\r\n{lines}"), 0, b"")?;
            }
            Answer::Redirect(target) => {
                let head = format!("302 Found\r\nLocation: {target}");
                respond(&mut stream, &head, 0, b"")?;
            }
            Answer::Chunked(content) => {
                chunks(&mut stream, &content)?;
                stream.write_all(b"0\r\n\r\n")?;
            }
            // These end the connection.
            Answer::Cut(content) => {
                return respond(&mut stream, "200 OK", content.len() + 1, &content);
            }
            Answer::CutChunked(content) => return chunks(&mut stream, &content),
            Answer::Silence => return reader.read_to_end(&mut Vec::new()).map(drop),
        }
    }
    Ok(())
}

/// The path of the next request; none when the client is gone.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    Ok(Some(path.trim_start_matches('/').to_owned()))
}

/// The answer of this time.
fn next(shared: &Shared, path: &str) -> Answer {
    let mut answers = shared.answers.lock().unwrap();
    let Some(answer) = answers.get_mut(path) else {
        return Answer::Status(404);
    };
    let now = answer.clone();
    match &now {
        Answer::Late(0, content) => return Answer::Content(content.clone()),
        Answer::Late(times, content) => *answer = Answer::Late(times - 1, content.clone()),
        Answer::Pause(_, content) => *answer = Answer::Content(content.clone()),
        _ => {}
    }
    now
}

fn respond(
    stream: &mut TcpStream,
    head: &str,
    length: usize,
    content: &[u8],
) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(content)
}

/// All but the last chunk, which is empty.
fn chunks(stream: &mut TcpStream, content: &[u8]) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for chunk in content.chunks(100) {
        write!(stream, "{:x}\r\n", chunk.len())?;
        stream.write_all(chunk)?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}

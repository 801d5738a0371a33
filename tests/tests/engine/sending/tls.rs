//! A receiver behind TLS that closes its connections without saying so (`close_notify`).

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tracking_core::caller::Caller;
use tracking_core::{json, json::Value};
use tracking_engine::{
    DeliveryFilter,
    sender::{Sender, SenderSettings},
};
use tracking_tests::world::{event, transaction};

use crate::sending::support::{engine, get, outcome, post, rule, sender, soon, store, work};

/// An authority of these tests, and a certificate of it for 127.0.0.1 with its key: of no use anywhere else.
const AUTHORITY: &str = "MIIBIzCByqADAgECAgEHMAoGCCqGSM49BAMCMBAxDjAMBgNVBAMMBXRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx\
    MDAwMDAwWjAQMQ4wDAYDVQQDDAV0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHzYEVYgvitDB/fwqoGz8VZaNHHL\
    FE00QyVGNJp9HS3HiAnHqLB0P8GshzGiWjpEEkePAE833cVd3jRkPezKfAmjEzARMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI\
    zj0EAwIDSAAwRQIhAKq3ORk1GkDLTrySuVt7t3CQOR6H5MmaD70/BRavtzY8AiAYunHQ8FA1QKPZSVW5VrMCg2sh1otHJyGa\
    JL7kq9KLRQ==";
const CERTIFICATE: &str = "MIIBMTCB16ADAgECAgEHMAoGCCqGSM49BAMCMBAxDjAMBgNVBAMMBXRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx\
    MDAwMDAwWjAPMQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYRTFQNV/1zpXQOQNleeaKjfkC4a2\
    0rjmZf0EjatrYOppCI2GXEdz2mykIbQVkZEcoYYR+2qEwzVW2SQZ7VuruaMhMB8wDAYDVR0TAQH/BAIwADAPBgNVHREECDAG\
    hwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCnx3KoeouSkmOayeHwsDixSV0FVyOxkxLneTr2XxypugIhAKS+0uML7+SSFNg+\
    zmp6R2PK240qs3veqZqpWUw3xRPZ";
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUCkMwiIlwsPOSdkIR8cqJ0flXUi/5+433yRL58CuNwyhRANC\
    AARhFMVA1X/XOldA5A2V55oqN+QLhrbSuOZl/QSNq2tg6mkIjYZcR3PabKQhtBWRkRyhhhH7aoTDNVbZJBntW6u5";

fn der(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}

/// A sender that may call loopback and trusts the authority of these tests.
pub(crate) fn trusting_sender() -> Sender {
    let authorities = vec![CertificateDer::from(der(AUTHORITY))];
    Sender::with(SenderSettings { private_targets: true, authorities, ..SenderSettings::default() }).unwrap()
}

/// A listener behind TLS. It answers the one request of each connection, and closes without `close_notify`.
pub(crate) struct Rude {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Rude {
    pub(crate) fn saying(response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, is_over) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (seen, over) = (Arc::clone(&requests), Arc::clone(&is_over));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(der(KEY)).into();
        let config = Arc::new(config.with_single_cert(vec![CertificateDer::from(der(CERTIFICATE))], key).unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (config, seen, stream) = (Arc::clone(&config), Arc::clone(&seen), stream.unwrap());
                thread::spawn(move || play(config, stream, response, &seen));
            }
        });
        Self { address, requests, is_over }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Returns the requests so far, in the order in which they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // A thread that waits for a connection ends with the next one.
        drop(TcpStream::connect(self.address));
    }
}

/// Plays one connection. Dropping it sends no `close_notify`.
fn play(config: Arc<ServerConfig>, stream: TcpStream, response: &str, seen: &Mutex<Vec<String>>) {
    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut request = Vec::new();
    let mut bytes = [0; 4_096];
    while !request.ends_with(b"\r\n\r\n") {
        match tls.read(&mut bytes) {
            Ok(count @ 1..) => request.extend_from_slice(&bytes[..count]),
            _ => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(request).unwrap());
    tls.write_all(response.as_bytes()).and_then(|()| tls.flush()).unwrap();
}

/// A response that ends with its connection.
pub(crate) const OPEN_END: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"status\":\"approved\"}";

#[tokio::test]
async fn case_a8_a_response_that_ends_without_close_notify_is_one() {
    let receiver = Rude::saying(OPEN_END);
    let sent = soon(trusting_sender().request(get(receiver.url("/"), 10))).await;
    assert_eq!(outcome(sent), Ok((200, "{\"status\":\"approved\"}".to_owned())));
    assert_eq!(receiver.requests().len(), 1);
    for (said, status, body, is_cut) in [
        ("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nOK", 200, "OK", false),
        ("HTTP/1.1 503 Busy\r\n\r\nlater", 503, "later", false),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 200, "ok", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"status\":", 200, "{\"status\":", true),
    ] {
        let receiver = Rude::saying(said);
        let answer = soon(trusting_sender().request(get(receiver.url("/"), 10))).await.unwrap();
        let shown = String::from_utf8_lossy(answer.body());
        assert_eq!((answer.status, &*shown, answer.is_cut(), receiver.requests().len()), (status, body, is_cut, 1), "{said}");
    }
    let untrusted = outcome(soon(sender().request(get(receiver.url("/"), 10))).await).unwrap_err();
    assert!(untrusted.contains("certificate"), "{untrusted}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn case_a8_it_is_delivered_by_one_request_with_a_note() {
    let receiver = Rude::saying(OPEN_END);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = engine(store.clone(), true);
    let approved = json!([{"source": "body", "key": "status", "operator": "equals", "value": "approved"}]);
    let answer = json!({"rules": [{"when": approved, "then": "delivered"}], "otherwise": "retry"});
    rule(&engine, json!({"name": "rude", "request": {"url": receiver.url("/")}, "answer": answer})).await.unwrap();
    post(&engine, &event("chg_1", json!({}), json!([transaction("trx_1", "created", "approved")]))).await;
    soon(work(&engine, &store, &trusting_sender())).await;
    assert_eq!(receiver.requests().len(), 1);
    let listed = engine.log().list(&Caller::Admin, &DeliveryFilter::default(), 10, None).await.unwrap().items;
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &Value::from("delivered")));
    let id = serde_json::from_str(&listed[0]["id"].to_string()).unwrap();
    let whole = engine.log().delivery(&Caller::Admin, &id).await.unwrap();
    let note = "the connection was closed without TLS's close_notify, what came counts as the whole response";
    assert_eq!(whole["log"][0]["error"], Value::from(note), "{whole}");
}

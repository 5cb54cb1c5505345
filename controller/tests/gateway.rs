//! The API over HTTP/1.1 and JSON, as pages and scripts use it.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::TestController;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A response.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn begin(address: SocketAddr, head: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head}\r\nHost: test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

async fn ask(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut text = String::new();
    let mut stream = begin(address, head, body).await;
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1"), "").await
}

async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
    ask(address, &head, &body.to_string()).await
}

/// The next event of a stream: its id and its data.
async fn event(stream: &mut BufReader<TcpStream>) -> (String, Value) {
    let mut id = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(
            stream.read_line(&mut line).await.unwrap(),
            0,
            "the stream ended"
        );
        if let Some(found) = line.strip_prefix("id: ") {
            id = found.trim().to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            return (id, serde_json::from_str(data).unwrap());
        }
    }
}

#[tokio::test]
async fn what_grpc_does_json_does() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    let devices = json!({
        "devices": [{"device": {"name": "leaf1", "address": "127.0.0.1:1", "deviceId": "1"}}],
    });
    let applied = post(address, "/v1/Controller/Apply", &devices).await;
    assert_eq!(
        (applied.status, applied.json()["devicesCreated"].clone()),
        (200, json!(1)),
        "{}",
        applied.body
    );
    assert!(
        applied.head.contains("content-type: application/json"),
        "{}",
        applied.head
    );
    let listed = get(address, "/v1/devices?consistency=stale").await.json();
    assert_eq!(listed["devices"][0]["spec"]["name"], "leaf1");
    let one = get(address, "/v1/devices/leaf1/objectives").await.json();
    assert_eq!(one["devices"][0]["device"], "leaf1");
    let status = get(address, "/v1/Controller/GetStatus").await.json();
    assert_eq!(
        status["revision"],
        get(address, "/v1/status").await.json()["revision"]
    );
    let index = get(address, "/v1").await.json();
    assert!(index["methods"].as_array().unwrap().len() > 20);
}

#[tokio::test]
async fn keys_are_put_got_listed_and_deleted_by_their_paths() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    let put = ask(
        address,
        "PUT /v1/kv/app/tenants/blue%20one HTTP/1.1",
        "10.0.0.0/8",
    )
    .await;
    assert_eq!(put.json(), json!({"revision": "1"}));
    let got = get(address, "/v1/kv/app/tenants/blue%20one").await.json();
    assert_eq!(got["entry"]["value"], "MTAuMC4wLjAvOA==");
    let listed = get(address, "/v1/kv/app?prefix=tenants/&keys_only=true")
        .await
        .json();
    assert_eq!(listed["entries"][0]["key"], "tenants/blue one");
    let late = ask(
        address,
        "PUT /v1/kv/app/tenants/blue%20one?expected_revision=0 HTTP/1.1",
        "",
    )
    .await;
    assert_eq!(late.status, 409);
    assert_eq!(
        late.json(),
        json!({"error": {
            "status": 409,
            "code": "ABORTED",
            "message": "app/tenants/blue one is at revision 1, and was to be new; nothing was changed",
        }})
    );
    ask(address, "PUT /v1/kv/app/tenants HTTP/1.1", "").await;
    let gone = ask(address, "DELETE /v1/kv/app/tenants/?prefix HTTP/1.1", "").await;
    assert_eq!(gone.json()["deleted"], 1, "{}", gone.body);
    let gone = ask(address, "DELETE /v1/kv/app/tenants HTTP/1.1", "").await;
    assert_eq!(gone.json()["deleted"], 1, "{}", gone.body);
    assert_eq!(
        get(address, "/v1/kv/app/tenants/blue%20one").await.status,
        404
    );
}

#[tokio::test]
async fn events_go_on_after_the_id_that_a_client_saw_last() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    let put = async |value: &str| {
        let put = ask(address, "PUT /v1/kv/app/a HTTP/1.1", value).await;
        assert_eq!(put.status, 200, "{}", put.body);
    };
    put("1").await;
    let mut stream = begin(address, "GET /v1/watch/kv/app HTTP/1.1", "").await;
    let (id, _) = event(&mut stream).await;
    assert_eq!(id, "1");
    put("2").await;
    let (id, change) = event(&mut stream).await;
    assert_eq!(
        (id.as_str(), &change["events"][0]["entry"]["value"]),
        ("2", &json!("Mg=="))
    );
    drop(stream);
    put("3").await;
    let head = "GET /v1/watch/kv/app HTTP/1.1\r\nLast-Event-ID: 2";
    let mut stream = begin(address, head, "").await;
    assert_eq!(event(&mut stream).await.0, "2");
    let (id, change) = event(&mut stream).await;
    assert_eq!(
        (id.as_str(), &change["events"][0]["entry"]["value"]),
        ("3", &json!("Mw=="))
    );
    let future = "GET /v1/watch/kv/app HTTP/1.1\r\nLast-Event-ID: 99";
    assert_eq!(ask(address, future, "").await.status, 410);
    let nonsense = "GET /v1/watch/kv/app HTTP/1.1\r\nLast-Event-ID: soon";
    assert_eq!(ask(address, nonsense, "").await.status, 400);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_a_status_and_in_words() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    let mut said = Vec::new();
    for path in [
        "/v1/nothing",
        "/v1/Nobody/Get",
        "/v1/Kv/Steal",
        "/v1/Kv/Put",
        "/v1/devices?colour=red",
        "/v1/history?limit=many",
        "/v1/devices?consistency=later",
        "/v1/devices/leaf9/ports",
    ] {
        let answer = get(address, path).await;
        said.push(format!(
            "{} {}",
            answer.status,
            answer.json()["error"]["message"]
        ));
    }
    for body in [
        json!({"nmaespace": "app"}),
        json!({"expectedRevision": "x"}),
        json!([]),
    ] {
        let answer = post(address, "/v1/Kv/Put", &body).await;
        said.push(format!(
            "{} {}",
            answer.status,
            answer.json()["error"]["message"]
        ));
    }
    for (head, body) in [
        ("POST /v1/Kv/Put HTTP/1.1\r\nContent-Type: text/plain", "{}"),
        (
            "POST /v1/Kv/Put HTTP/1.1\r\nContent-Type: application/json",
            "{,",
        ),
        ("PATCH /v1/Kv/Put HTTP/1.1", ""),
    ] {
        let answer = ask(address, head, body).await;
        said.push(format!(
            "{} {}",
            answer.status,
            answer.json()["error"]["message"]
        ));
    }
    expect_test::expect![[r#"
        404 "there is nothing at /v1/nothing; GET /v1 shows what there is"
        404 "there is no service \"Nobody\"; there are Controller, Cluster, Kv, Configuration, Topology, and GET /v1 shows their methods"
        404 "Kv has no method \"Steal\"; it has Get, List, Put, Delete, Transact, Watch, GrantLease, KeepLease, RevokeLease, GetLeases, Lock, Unlock, GetLocks"
        405 "GET is not possible for Put; use POST"
        400 "the request has no field \"colour\"; it has consistency"
        400 "limit cannot be \"many\"; give a whole number that fits"
        400 "consistency cannot be \"later\"; give linearizable, stale"
        404 "there is no device \"leaf9\"; known devices: none"
        400 "the request is no KvPutRequest: unrecognized field name 'nmaespace'"
        400 "the request is no KvPutRequest: invalid digit found in string"
        400 "the request is no KvPutRequest: invalid type: sequence, expected a map"
        415 "the Content-Type is \"text/plain\"; send application/json"
        400 "the request is no JSON: key must be a string at line 1 column 2"
        405 "PATCH is not possible for Put; use POST"
    "#]].assert_eq(&(said.join("\n") + "\n"));
}

#[tokio::test]
async fn requests_and_streams_are_limited_by_settings() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    let set = json!({"changes": [
        {"name": "api.max_request_bytes", "value": "1 KiB"},
        {"name": "api.event_streams", "value": "1"},
    ]});
    let answer = post(address, "/v1/Configuration/Configure", &set).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let large = ask(address, "PUT /v1/kv/app/a HTTP/1.1", &"x".repeat(1025)).await;
    assert_eq!(large.status, 413);
    assert!(
        large.body.contains("api.max_request_bytes"),
        "{}",
        large.body
    );
    let mut first = begin(address, "GET /v1/watch/kv HTTP/1.1", "").await;
    event(&mut first).await;
    let second = get(address, "/v1/watch/kv").await;
    assert_eq!(second.status, 429);
    assert!(second.body.contains("api.event_streams"), "{}", second.body);
    drop(first);
    support::eventually("there is room again", || async {
        let mut stream = begin(address, "GET /v1/watch/kv HTTP/1.1", "").await;
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        line.contains("200")
    })
    .await;
}

#[tokio::test]
async fn prometheus_is_told_how_a_node_fares() {
    let controller = TestController::start().await;
    let address = controller.server.address();
    ask(address, "PUT /v1/kv/app/a HTTP/1.1", "12").await;
    let devices = json!({"devices": [{"device": {"name": "leaf1", "address": "127.0.0.1:1", "deviceId": "1"}}]});
    post(address, "/v1/Controller/Apply", &devices).await;
    let answer = get(address, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("application/openmetrics-text"),
        "{}",
        answer.head
    );
    let value = |name: &str| {
        let mut lines = answer.body.lines();
        let line = lines.find(|line| line.starts_with(name) && !line.starts_with('#'));
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", answer.body));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    for (name, wanted) in [
        ("pointsman_raft_role{role=\"leader\"}", 1.0),
        ("pointsman_raft_role{role=\"follower\"}", 0.0),
        ("pointsman_mastered_devices{node=\"controller-1\"}", 1.0),
        ("pointsman_devices ", 1.0),
        ("pointsman_kv_keys", 1.0),
        ("pointsman_kv_revision", 1.0),
    ] {
        assert_eq!(value(name), wanted, "{name} in {}", answer.body);
    }
    assert!(value("pointsman_commit_duration_seconds_count") >= 2.0);
    assert!(value("pointsman_store_size_bytes") > 1000.0);
    assert!(value("pointsman_resident_memory_bytes") > 1e6);
}

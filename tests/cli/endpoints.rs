//! `webhook test|replay` against a receiver.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::receiver::Receiver;
use crate::run::{Folder, stderr, stdout};
use crate::servers::node::Node;
use crate::servers::{free_address, wait_until};

const FOR_TESTS: [(&str, &str); 1] = [("LOSTCARD_WEBHOOKS__INSECURE_LOOPBACK_FOR_TESTS", "true")];

fn add(folder: &Folder, organization: &str, url: &str) -> String {
    let args = ["webhook", "add", "--organization", organization, "--url", url, "--json"];
    let added: Value = serde_json::from_str(&stdout(&folder.run_with(&args, &FOR_TESTS).success())).unwrap();
    added["webhook_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_test_message_is_done_only_by_2xx() {
    let folder = Folder::new();
    let organization = folder.organization();
    let test = |id: &str| folder.run_with(&["webhook", "test", id, "--json"], &FOR_TESTS);
    for (status, outcome) in [(200, "delivered"), (204, "delivered"), (302, "refused"), (410, "gone"), (500, "refused")]
    {
        let receiver = Receiver::start(status);
        let id = add(&folder, &organization, &receiver.url());
        let output = test(&id);
        let is_taken = (200..300).contains(&status);
        let output = output.code(i32::from(!is_taken));
        let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(told, json!({"webhook_id": id, "outcome": outcome, "status": status}));
        assert_eq!(stderr(&output).contains("was not taken"), !is_taken, "{}", stderr(&output));
        let requests = receiver.requests();
        assert_eq!(requests.len(), 1);
        for part in [
            "POST /hook ",
            "webhook-id: ",
            "webhook-timestamp: ",
            "webhook-signature: v1,",
            "\"type\":\"webhook.test\"",
        ] {
            assert!(requests[0].contains(part), "{part}: {}", requests[0]);
        }
    }
    let dead = add(&folder, &organization, &format!("http://{}/", free_address()));
    let output = test(&dead).code(1);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told, json!({"webhook_id": dead, "outcome": "unreachable"}));
    // Without the setting, loopback is nowhere that anything is sent to.
    let said = stderr(&folder.run(&["webhook", "test", &dead]).code(1));
    assert!(said.contains("no public address"), "{said}");
    let said = stderr(&folder.run(&["webhook", "test", "01993c5e-0000-7000-8000-000000000000"]).code(1));
    assert!(said.contains("no such endpoint"), "{said}");
}

#[test]
fn alerts_are_sent_once_more_by_the_node() {
    let folder = Folder::new();
    let organization = folder.organization();
    let receiver = Receiver::start(200);
    let id = add(&folder, &organization, &receiver.url());
    let simple = organization.replace('-', "");
    let alert = |seq: u32| {
        format!(
            "INSERT INTO alerts (alert_id, organization_id, seq, check_id, kind, listing_kind, listed_at) VALUES \
             (x'{seq:032x}', x'{simple}', {seq}, x'{seq:032x}', 'card_listed', 'reported', CAST(strftime('%s', 'now') AS INTEGER) * 1000)"
        )
    };
    let url = format!("sqlite:{}", folder.path().join("lostcard-data/lostcard.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
        for seq in 1..=3 {
            connection.execute(AssertSqlSafe(alert(seq))).await.unwrap();
        }
        connection.close().await.unwrap();
    });
    let replay = |args: &[&str]| folder.json(&[&["webhook", "replay", &id, "--json"], args].concat());
    let told = replay(&["--after", "1"]);
    assert_eq!(told, json!({"webhook_id": id, "alerts": 2, "deliveries": 2, "more": false, "last_sequence": 3}));
    assert_eq!(replay(&["--after", "1"])["deliveries"], 0, "they wait already");
    assert_eq!(replay(&["--since", "2026-01-01T00:00:00Z"])["deliveries"], 1);
    assert_eq!(replay(&["--since", "2199-01-01T00:00:00Z"])["alerts"], 0);
    let _node = Node::start_with(&folder.path().join("lostcard-data"), |command| {
        command.envs(FOR_TESTS);
    });
    wait_until("all three are sent", || receiver.requests().len() == 3);
    folder.run(&["webhook", "disable", &id]).success();
    let said = stderr(&folder.run(&["webhook", "replay", &id, "--after", "0"]).code(1));
    assert!(said.contains("is disabled"), "{said}");
    folder.run(&["webhook", "replay", &id]).code(2);
    folder.run(&["webhook", "replay", &id, "--since", "yesterday"]).code(2);
}

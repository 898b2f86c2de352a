//! Nodes that are cut off from the store one at a time, stand still, or are told that somebody's access has ended. Whatever a
//! node misses, it answers nothing that a 201 elsewhere has made false.

use std::time::{Duration, Instant};

use crate::bodies::random_number;
use crate::servers::node::Node;
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{shared, wait_until};
use crate::service::{Service, eventually};

const LEASE: Duration = Duration::from_secs(1);

/// Two nodes on one store, each with its own way to it.
struct Pair {
    service: Service,
    nodes: [Node; 2],
    proxies: [Proxy; 2],
}

impl Pair {
    async fn start() -> Self {
        let postgres = shared::postgres();
        let direct = postgres.create_database();
        let mut service = Service::new(Some(&direct));
        let proxies = [Proxy::start(postgres.address()), Proxy::start(postgres.address())];
        let first = service.node("first", Some(&proxies[0].url(&direct)), |_| {});
        let second = service.node("second", Some(&proxies[1].url(&direct)), |_| {});
        service.get_tokens(&first).await;
        service.introduce(&second).await;
        Self { service, nodes: [first, second], proxies }
    }
}

/// That the number is told as listed, or nothing is told.
#[track_caller]
fn assert_no_stale_negative(answer: &crate::service::Answer) {
    if answer.status == 200 {
        Service::assert_listed(answer);
    } else {
        answer.assert_unavailable("registry_unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_loses_its_own_lease_only_and_reports_go_on_elsewhere() {
    let Pair { service, nodes, proxies } = Pair::start().await;
    for fault in [Fault::Hang, Fault::Cut] {
        for (cut, other) in [(0, 1), (1, 0)] {
            proxies[cut].set(fault);
            let began = Instant::now();
            let mut filed = Vec::new();
            while filed.len() < 3 || nodes[cut].is_ready() {
                let number = random_number();
                let answer = service.report(&nodes[other], &number).await;
                assert_eq!(answer.status, 201, "{fault:?}: {answer:?}");
                assert_no_stale_negative(&service.check(&nodes[cut], &number).await);
                Service::assert_listed(&service.check(&nodes[other], &number).await);
                assert_eq!(service.check(&nodes[other], &random_number()).await.word(), "not_listed");
                assert!(nodes[other].is_ready(), "the other keeps its lease");
                filed.push(number);
                assert!(began.elapsed() < Duration::from_secs(20), "{fault:?}: the node that was cut off stays ready");
            }
            proxies[cut].set(Fault::None);
            wait_until("the node that was cut off is ready again", || nodes[cut].is_ready());
            for number in &filed {
                let ask = || service.check(&nodes[cut], number);
                Service::assert_listed(&eventually("an answer", ask, |answer| answer.status == 200).await);
            }
        }
    }
}

/// Requests that came while a node stood still are answered first when it continues, by a snapshot that is long out of date.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_for_longer_than_its_lease_gives_no_stale_negative() {
    let Pair { service, nodes: [still, other], proxies: _proxies } = Pair::start().await;
    for _ in 0..3 {
        let number = random_number();
        assert_eq!(service.check(&still, &number).await.word(), "not_listed");
        still.pause();
        let began = Instant::now();
        let filed = service.report(&other, &number).await;
        assert_eq!(filed.status, 201, "{filed:?}");
        assert!(
            began.elapsed() >= LEASE / 2,
            "acknowledged while the other's lease may have held: {:?}",
            began.elapsed()
        );
        let asked = futures_util::future::join_all((0..20).map(|_| service.check(&still, &number)));
        let (answers, ()) = tokio::join!(asked, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            still.resume();
        });
        for answer in &answers {
            assert_no_stale_negative(answer);
        }
        let ask = || service.check(&still, &number);
        Service::assert_listed(&eventually("an answer", ask, |answer| answer.status == 200).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_tokens_and_disabled_clients_are_refused_by_every_node_within_the_lease() {
    let Pair { mut service, nodes, proxies: _proxies } = Pair::start().await;
    let jti = {
        let payload = service.police.token.split('.').nth(1).unwrap();
        let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        claims["jti"].as_str().unwrap().to_owned()
    };
    let client_id = std::mem::take(&mut service.hotel.client_id);
    let revoke = ["client", "revoke-token", "--issuer", crate::service::ISSUER, &jti];
    let disable = ["client", "disable", &client_id];
    for (command, token) in [(revoke.as_slice(), &service.police.token), (disable.as_slice(), &service.hotel.token)] {
        for node in &nodes {
            assert_ne!(service.get(node, token, "/v1/loss-reports/x").await.status, 401, "it is known by now");
        }
        service.run(command);
        let done = Instant::now();
        for node in &nodes {
            let ask = || service.get(node, token, "/v1/loss-reports/x");
            eventually("the token is refused", ask, |answer| answer.status == 401).await;
        }
        assert!(done.elapsed() < LEASE, "{:?}", done.elapsed());
    }
}

//! Work that takes long: one asker's crowd of it keeps nobody else out, and what has no turn in time is told so.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::bodies::{random_number, report_of};
use crate::certificates::certificate_of;
use crate::helpers::{Answer, TestApp, TestClient};

const MANY: &str = "1000000/60s";
const CONNECTIONS: usize = 90;

async fn certify(app: &TestApp, client: &TestClient) -> Answer {
    app.post(&client.token, "/v1/temporary-certificates", &certificate_of(&random_number(), "rail")).await
}

/// How long reports of somebody else take, the median and the slowest but one in a hundred. None of them may fail, and no token.
async fn reports_of_others(app: &TestApp, rounds: usize) -> [Duration; 2] {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        let answer = app.report(&report_of(&random_number(), None)).await;
        times.push(begun.elapsed());
        assert_eq!(answer.status, 201, "{}", answer.text);
        app.token_for(&app.police).await;
    }
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() * 99 / 100]]
}

#[tokio::test]
async fn one_registrars_certificates_leave_reports_and_certificates_of_others_alone() {
    let app = TestApp::spawn_with(|config| {
        (config.overload.requests_max, config.overload.workshop_wait_ms) = (60, 2000);
        config.limits.address = crate::bodies::rate(MANY);
    })
    .await;
    let flood = app.add_client("registry", Some(MANY)).await;
    let quiet = reports_of_others(&app, 100).await;
    let (is_over, issued, refused) = (Cell::new(false), Cell::new(0), Cell::new(0));
    let flooding = futures_util::future::join_all((0..CONNECTIONS).map(|_| async {
        while !is_over.get() {
            let answer = certify(&app, &flood).await;
            if answer.status == 201 {
                issued.set(issued.get() + 1);
            } else {
                answer.problem(503, "reduced_capacity");
                assert!((1..=5).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
                refused.set(refused.get() + 1);
            }
        }
    }));
    let others = async {
        while issued.get() == 0 || refused.get() == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            assert_eq!(certify(&app, &app.police).await.status, 201, "another's certificate has its turn");
        }
        let busy = reports_of_others(&app, 100).await;
        is_over.set(true);
        busy
    };
    let (busy, _) = tokio::join!(others, flooding);
    println!(
        "attacker: {} certificates, {} refusals; others: 200 of 200, median and p99 {busy:?} (quiet {quiet:?})",
        issued.get(),
        refused.get()
    );
    // Callers and other tests share the cores with the node here: the tail is judged by `tests/attack`, where nothing else runs.
    assert!(busy[0] <= quiet[0] * 2 + Duration::from_millis(250), "{busy:?} against {quiet:?}");
    assert_eq!(app.metric(r#"lostcard_workshop_waiting{work="long"}"#).await, 0);
    assert!(app.metric(r#"lostcard_workshop_refused_total{work="long"}"#).await > 0, "as the alerts know it");
}

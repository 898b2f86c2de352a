//! Withdrawals beyond a day's number: counted by the audit log, kept until a second client confirms, gone with what they are of.

use jiff::civil::Date;
use lostcard::domain::audit::{Action, Deed};
use lostcard::domain::authority::Offices;
use lostcard::domain::client::{Actor, OrganizationKind, Rate, Scopes};
use lostcard::domain::found_card::HolderVerification;
use lostcard::domain::ids::ReportId;
use lostcard::domain::report::WithdrawalReason;
use lostcard::store::reports::Closing;
use lostcard::store::withdrawals::{PendingReturn, PendingWithdrawal, StoredWithdrawal};

use crate::backend::Database;
use crate::found_cards::{found_card, store_found};
use crate::records::{
    NOW_MS, client, id, key, later, office, organization, report, store_reports, stored_organization, write,
};

fn pending(report_id: ReportId, actor: Actor) -> PendingWithdrawal {
    PendingWithdrawal {
        report_id,
        actor,
        office: office(),
        reason: WithdrawalReason::Mistaken,
        requested_at_ms: later(3),
        returning: None,
    }
}

pub(crate) async fn withdrawals_of_a_client_are_counted_from_an_instant_on(database: &Database) {
    let store = database.open().await;
    let (actor, other) = (Actor::new(id(), id()), Actor::new(id(), id()));
    let report_id: ReportId = id();
    for (who, action, at_ms) in [
        (actor, Action::ReportWithdrawn, NOW_MS),
        (actor, Action::ReportWithdrawn, later(10)),
        (actor, Action::WithdrawalRequested, later(11)),
        (actor, Action::ReportWithdrawn, later(12)),
        (other, Action::ReportWithdrawn, later(13)),
    ] {
        write(&store, async |tx| tx.record_deed(&Deed::of(who, action, report_id), at_ms).await.unwrap()).await;
    }
    for (since_ms, expected) in [(NOW_MS, 3), (later(10), 2), (later(12), 1), (later(13), 0)] {
        let counted = write(&store, async |tx| tx.count_ended(actor.client, since_ms).await.unwrap()).await;
        assert_eq!(counted, expected, "{since_ms:?}");
    }
}

pub(crate) async fn a_pending_withdrawal_is_its_organizations_until_the_report_is_closed(database: &Database) {
    let store = database.open().await;
    let (own, other) = (stored_organization(&store).await, stored_organization(&store).await);
    let actor = Actor::new(own, id());
    let (filed, waiting) = (report(Some(own), key(), NOW_MS), report(Some(own), key(), NOW_MS));
    let ids = [filed.report_id, waiting.report_id];
    store_reports(&store, &[filed, waiting]).await;
    let card = found_card(own, key(), None);
    let returning = PendingReturn {
        found_card_id: store_found(&store, &card).await,
        card_valid_from: Some(Date::constant(2016, 5, 1)),
        holder_verified_by: HolderVerification::Face,
    };
    let plain = pending(ids[0], actor);
    let of_card = PendingWithdrawal { returning: Some(returning), ..pending(ids[1], actor) };
    assert!(store.find_withdrawal(own, false, ids[0]).await.unwrap().is_none());
    for new in [&plain, &of_card] {
        write(&store, async |tx| tx.keep_withdrawal(new).await.unwrap()).await;
        let again = PendingWithdrawal { requested_at_ms: later(99), ..new.clone() };
        write(&store, async |tx| tx.keep_withdrawal(&again).await.unwrap()).await;
        let read = write(&store, async |tx| tx.find_pending_withdrawal(own, new.report_id).await.unwrap()).await;
        assert_eq!(format!("{:?}", read.unwrap()), format!("{new:?}"), "the first stays");
        assert!(matches!(
            store.find_withdrawal(own, false, new.report_id).await.unwrap(),
            Some(StoredWithdrawal::Pending(_))
        ));
        assert!(store.find_withdrawal(other, false, new.report_id).await.unwrap().is_none());
        let foreign = write(&store, async |tx| tx.find_pending_withdrawal(other, new.report_id).await.unwrap()).await;
        assert!(foreign.is_none());
    }
    write(&store, async |tx| {
        let stored = tx.find_report(own, ids[0]).await.unwrap().unwrap();
        let change = tx.record_listing(&stored.lookup_key).await.unwrap();
        let closing = Closing { at_ms: later(5), office: &office(), withdrawal: Some(WithdrawalReason::Mistaken) };
        tx.close_report(&stored.report.withdraw().unwrap(), &closing, &change).await.unwrap();
        assert!(tx.find_pending_withdrawal(own, ids[0]).await.unwrap().is_none(), "nobody need confirm it");
    })
    .await;
    let done = store.find_withdrawal(own, false, ids[0]).await.unwrap();
    assert!(store.find_withdrawal(other, false, ids[0]).await.unwrap().is_none());
    assert!(store.find_withdrawal(other, true, ids[0]).await.unwrap().is_some(), "who may end it may read its end");
    let Some(StoredWithdrawal::Done { reason, at_ms, .. }) = done else { panic!("{done:?}") };
    assert_eq!((reason, at_ms), (WithdrawalReason::Mistaken, later(5)));
}

pub(crate) async fn whose_report_it_is_decides_who_ends_it(database: &Database) {
    let store = database.open().await;
    let mut organizations = [organization(), organization(), organization()];
    for (of, kind) in organizations.iter_mut().zip([
        OrganizationKind::Registrar,
        OrganizationKind::Registrar,
        OrganizationKind::Portal,
    ]) {
        of.kind = kind;
        write(&store, async |tx| tx.insert_organization(of).await.unwrap()).await;
    }
    let [own, other, portal] = organizations.map(|of| of.organization_id);
    let of = [Some(own), Some(other), Some(portal), None].map(|of| report(of, key(), NOW_MS));
    let ids = of.each_ref().map(|report| report.report_id);
    store_reports(&store, &of).await;
    write(&store, async |tx| {
        for (report, is_of_other, is_own) in
            [(ids[0], false, true), (ids[1], true, false), (ids[2], false, false), (ids[3], false, false)]
        {
            assert_eq!(tx.is_of_other_registrar(own, report).await.unwrap(), is_of_other);
            assert_eq!(tx.find_report_to_end(own, false, report).await.unwrap().is_some(), is_own);
            assert!(tx.find_report_to_end(own, true, report).await.unwrap().is_some());
        }
    })
    .await;
}

pub(crate) async fn what_an_organization_and_a_client_may_is_changed(database: &Database) {
    let store = database.open().await;
    let mut of = organization();
    write(&store, async |tx| tx.insert_organization(&of).await.unwrap()).await;
    of.offices = Offices::parse("110105 1101-hall", true).unwrap();
    of.rate = Rate::parse("7/1s");
    write(&store, async |tx| tx.update_organization(&of).await.unwrap()).await;
    let read = store.find_organization(of.organization_id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{of:?}"));
    let mut one = client(of.organization_id);
    write(&store, async |tx| tx.insert_client(&one).await.unwrap()).await;
    one.scopes = Scopes::parse("checks blind").unwrap();
    one.rate = Rate::parse("5/1s");
    write(&store, async |tx| tx.update_client(&one).await.unwrap()).await;
    let read = store.find_client(one.client_id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{one:?}"));
}

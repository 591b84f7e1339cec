//! The ways in which the user consents, or does not.

use super::*;

#[test]
fn denied_consent_creates_no_key_and_leaves_no_entry() {
    let sandbox = sandbox();
    let services = ServiceContext { open_browser: deny, ..services(sandbox.url()) };
    let error = failed(provision_key(&request("x"), AuthMethod::Browser, &services).0);
    assert_eq!(exit_code(error.kind), 5);
    assert!(error.message.contains("denied"), "{error:?}");
    assert!(error.meaning.contains("no key was created"), "{error:?}");
    assert_eq!(
        services.secret_store.list_accounts("keywright-attempts", TIMEOUT).unwrap(),
        [""; 0]
    );
}

#[test]
fn code_is_pasted_without_a_callback() {
    let sandbox = sandbox();
    let services = services(sandbox.url());
    let (outcome, events) =
        provision_with(&request("ssh"), AuthMethod::PasteCode, &services, |event, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = event {
                assert!(!url.contains("callback_url"));
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthorizationResponse::Code(AuthCode::from(code))).unwrap();
            }
        });
    assert_eq!(stored(outcome).0.differing_fields(), Vec::<&str>::new());
    assert!(
        events
            .iter()
            .any(|event| matches!(event, ProvisioningEvent::SignInUrl { needs_code: true, .. }))
    );
}

#[test]
fn code_is_pasted_if_no_browser_starts() {
    let sandbox = sandbox();
    let services = ServiceContext {
        open_browser: |_| Err("no browser was found".into()),
        ..services(sandbox.url())
    };
    let (outcome, events) =
        provision_with(&request("x"), AuthMethod::Browser, &services, |event, paste, _| {
            if let ProvisioningEvent::SignInUrl { url, needs_code: true } = event {
                let code = sandbox::answer_consent(url, true).unwrap().unwrap();
                paste.try_send(AuthorizationResponse::Code(AuthCode::from(code))).unwrap();
            }
        });
    stored(outcome);
    assert!(events.iter().any(|event| matches!(event, ProvisioningEvent::Notice(_))));
}

#[test]
fn browser_that_fails_later_is_reported_and_the_callback_still_works() {
    let sandbox = sandbox();
    let services = ServiceContext {
        open_browser: |_| {
            std::thread::sleep(Duration::from_millis(200));
            Err("the browser x exited with an error".into())
        },
        ..services(sandbox.url())
    };
    let address = Mutex::new(String::new());
    let (outcome, events) =
        provision_with(&request("x"), AuthMethod::Browser, &services, |event, _, _| match event {
            ProvisioningEvent::SignInUrl { url, needs_code: false } => {
                address.lock().unwrap().clone_from(url);
            }
            ProvisioningEvent::BrowserFailed(notice) if notice.contains("open the address") => {
                let url = address.lock().unwrap().clone();
                std::thread::spawn(move || sandbox::answer_consent(&url, true));
            }
            _ => {}
        });
    stored(outcome);
    let needs_code = |event: &ProvisioningEvent| {
        matches!(event, ProvisioningEvent::SignInUrl { needs_code: true, .. })
    };
    assert!(!events.iter().any(needs_code));
}

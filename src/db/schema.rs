// @generated automatically by Diesel CLI.

diesel::table! {
    acts (id) {
        id -> Text,
        user_key -> Text,
        admin -> Text,
        kind -> Text,
        delivery_id -> Nullable<Text>,
        at -> BigInt,
    }
}

diesel::table! {
    attempts (user_key, attempt) {
        user_key -> Text,
        attempt -> BigInt,
        session_id -> Nullable<Text>,
        session_created_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    catch_ups (partner) {
        partner -> Text,
        gap_from -> BigInt,
        gap_to -> BigInt,
        ledger_read -> Bool,
        cursor -> Text,
    }
}

diesel::table! {
    deliveries (id) {
        id -> Text,
        partner -> Text,
        user_key -> Nullable<Text>,
        attempt -> Nullable<BigInt>,
        external_user_id -> Nullable<Text>,
        family -> Nullable<Text>,
        event -> Nullable<Text>,
        signature -> Binary,
        body -> Nullable<Binary>,
        outcome -> Text,
        repeats -> BigInt,
        received_at -> BigInt,
        last_received_at -> BigInt,
        previous -> Nullable<Text>,
        secret -> Nullable<Text>,
        body_length -> Nullable<BigInt>,
        body_sha256 -> Nullable<Binary>,
    }
}

diesel::table! {
    heartbeats (name) {
        name -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    kept_answers (partner, name) {
        partner -> Text,
        name -> Text,
        body_mac -> Binary,
        answer -> Text,
        kept_at -> BigInt,
    }
}

diesel::table! {
    learnt_ids (partner, user_id) {
        partner -> Text,
        user_id -> Text,
        external_user_id -> Text,
    }
}

diesel::table! {
    new_links (user_key) {
        user_key -> Text,
        day -> BigInt,
        made -> BigInt,
    }
}

diesel::table! {
    overrides (id) {
        id -> Text,
        user_key -> Text,
        attempt -> BigInt,
        admin -> Text,
        reason -> Text,
        from_status -> Text,
        to_status -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    secrets (name) {
        name -> Text,
        bytes -> Binary,
    }
}

diesel::table! {
    stamps (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    strays (partner, external_user_id, delivery_id) {
        partner -> Text,
        external_user_id -> Text,
        delivery_id -> Text,
    }
}

diesel::table! {
    transitions (partner, seq) {
        partner -> Text,
        seq -> BigInt,
        user_key -> Text,
        previous -> Nullable<BigInt>,
        version -> BigInt,
        attempt -> BigInt,
        from_status -> Nullable<Text>,
        to_status -> Text,
        source -> Text,
        event -> Nullable<Text>,
        delivery_id -> Nullable<Text>,
        at -> BigInt,
    }
}

diesel::table! {
    trust_policies (partner) {
        partner -> Text,
        policy -> Text,
    }
}

diesel::table! {
    unconfirmed (partner, user_key) {
        partner -> Text,
        user_key -> Text,
        applied_at -> BigInt,
        denied_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        partner -> Text,
        user_id -> Text,
        external_user_id -> Text,
        country -> Text,
        redirect_uri -> Nullable<Text>,
        attempt -> BigInt,
        status -> Text,
        held -> Nullable<Text>,
        source -> Text,
        version -> BigInt,
        kyc_link -> Nullable<Text>,
        link_created_at -> Nullable<BigInt>,
        created_at -> BigInt,
        updated_at -> BigInt,
        decided_at -> Nullable<BigInt>,
        overridden -> Bool,
        conflict -> Bool,
        confirmed_at -> Nullable<BigInt>,
        hint_seq -> BigInt,
        hint -> Nullable<Text>,
        hinted_at -> Nullable<BigInt>,
        pull_ticket -> BigInt,
        applied_ticket -> BigInt,
        step -> BigInt,
        lane -> Text,
        due_at -> Nullable<BigInt>,
        looked_at -> Nullable<BigInt>,
        provider_word -> Nullable<Text>,
        no_verdict_since -> Nullable<BigInt>,
        failures -> BigInt,
        last_delivery -> Nullable<Text>,
        last_transition -> Nullable<BigInt>,
        heard -> Bool,
        unconfirmed -> Nullable<Text>,
        unconfirmed_at -> Nullable<BigInt>,
        after_review -> Bool,
        unusable -> Nullable<Text>,
        opened_at -> BigInt,
        links_asked -> BigInt,
        link_asked_at -> Nullable<BigInt>,
        no_session_at -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    acts,
    attempts,
    catch_ups,
    deliveries,
    heartbeats,
    kept_answers,
    learnt_ids,
    new_links,
    overrides,
    secrets,
    stamps,
    strays,
    transitions,
    trust_policies,
    unconfirmed,
    users,
);

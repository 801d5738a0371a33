use super::*;

fn pending() -> Value {
    sale_but(|detail| {
        detail["transactions"][0]["result"] = json!("pending");
        detail["conversion"]["type"] = json!("lead");
    })
}

fn rejected() -> Value {
    sale_but(|detail| detail["transactions"][0]["result"] = json!("rejected"))
}

/// The sale without the fields that the platform may leave out.
fn bare() -> Value {
    sale_but(|detail| {
        for key in ["value", "currency", "voucher", "ip", "affs"] {
            detail["conversion"].as_object_mut().unwrap().remove(key);
        }
    })
}

#[test]
fn voluum_gets_approved_transactions() {
    let expected = "GET https://track.example.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&currency=EUR&txid=trx_9001&et=sale";
    check("voluum", &sale(), &[expected]);
}

#[test]
fn keitaro_hears_results_in_its_own_words() {
    let expected = "GET https://track.example.com/3f9c2a1/postback?subid=wNq7%2B8%2F3%3Dkk&status=sale&payout=62.50&currency=eur\
                    &tid=trx_9001&sub_id_1=black%20friday";
    check("keitaro", &sale(), &[expected]);
    assert_eq!(sent("keitaro", &pending()), expected.replace("status=sale", "status=lead"));
    assert_eq!(sent("keitaro", &rejected()), expected.replace("status=sale", "status=rejected"));
    assert_eq!(sent("keitaro", &bare()), expected.replace("&sub_id_1=black%20friday", ""));
}

#[test]
fn redtrack_gets_approved_transactions() {
    let expected = "GET https://track.example.com/postback?clickid=wNq7%2B8%2F3%3Dkk&sum=62.50&type=sale&rdtk_event_id=trx_9001";
    check("redtrack", &sale(), &[expected]);
}

#[test]
fn binom_hears_our_results() {
    let expected =
        "GET https://track.example.com/click.php?cnv_id=wNq7%2B8%2F3%3Dkk&payout=62.50&cnv_status=approved&cnv_currency=EUR";
    check("binom", &sale(), &[expected]);
    assert_eq!(sent("binom", &rejected()), expected.replace("approved", "rejected"));
}

#[test]
fn bemob_gets_results_in_its_own_words() {
    let expected = "GET https://abcde.bemobtrcks.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&txid=trx_9001&status=confirm";
    check("bemob", &sale(), &[expected]);
    assert_eq!(sent("bemob", &pending()), expected.replace("confirm", "new"));
    assert_eq!(sent("bemob", &rejected()), expected.replace("confirm", "decline"));
}

#[test]
fn everflow_hears_once_of_what_is_approved_for_good() {
    let expected = "GET https://www.trk.example.com/?nid=1234&transaction_id=wNq7%2B8%2F3%3Dkk&amount=1249.90&adv1=trx_9001";
    check("everflow", &sale(), &[expected]);
    assert_eq!(sent("everflow", &bare()), expected.replace("&amount=1249.90", ""));
}

#[test]
fn affise_gets_results_as_numbers() {
    let expected = "GET https://offers.example.com/postback?clickid=wNq7%2B8%2F3%3Dkk&action_id=trx_9001&sum=62.50&goal=sale&status=1\
                    &ip=89.24.1.7&promo_code=WINTER10&secure=s3cr3t%2B1";
    check("affise", &sale(), &[expected]);
    assert_eq!(sent("affise", &pending()), expected.replace("goal=sale&status=1", "goal=lead&status=2"));
    assert_eq!(sent("affise", &rejected()), expected.replace("status=1", "status=3"));
    assert_eq!(sent("affise", &bare()), expected.replace("&ip=89.24.1.7&promo_code=WINTER10", ""));
}

#[test]
fn tune_gets_one_final_postback_and_answers_in_the_body() {
    let expected = "GET https://example.go2cloud.org/aff_lsr?transaction_id=wNq7%2B8%2F3%3Dkk&amount=1249.90&adv_sub=trx_9001\
                    &promo_code=WINTER10&security_token=s3cr3t%2B1";
    check("tune", &sale(), &[expected]);
    check_answer("tune", 200, "success=true;", Verdict::Delivered);
    check_answer("tune", 200, "success=false; err_msg=Duplicate", Verdict::Failed);
    check_answer("tune", 503, "<html>", Verdict::Retry);
}

#[test]
fn cake_gets_one_final_postback() {
    let expected = "GET https://trk.example.com/p.ashx?o=769&e=123&f=pb&r=wNq7%2B8%2F3%3Dkk&t=trx_9001&p=62.50";
    check("cake", &sale(), &[expected]);
}

#[test]
fn scaleo_hears_our_results() {
    let expected = "GET https://workspace.scaletrk.com/track/conv-addchange?click_id=wNq7%2B8%2F3%3Dkk&goal_alias=sale\
                    &conv_status=approved&amount=1249.90&adv_order_id=trx_9001&promo_code=WINTER10&token=s3cr3t%2B1";
    check("scaleo", &sale(), &[expected]);
    assert_eq!(sent("scaleo", &pending()), expected.replace("sale&conv_status=approved", "lead&conv_status=pending"));
}

#[test]
fn trackier_hears_our_results() {
    let expected = "GET https://demo.vnative.co/acquisition?click_id=wNq7%2B8%2F3%3Dkk&txn_id=trx_9001&goal_value=sale\
                    &sale_amount=1249.90&revenue=62.50&currency=EUR&status=approved";
    check("trackier", &sale(), &[expected]);
    assert_eq!(sent("trackier", &rejected()), expected.replace("approved", "rejected"));
}

#[test]
fn post_affiliate_pro_gets_one_final_postback() {
    let expected = "GET https://example.postaffiliatepro.com/scripts/sale.php?visitorId=wNq7%2B8%2F3%3Dkk&TotalCost=1249.90\
                    &OrderID=trx_9001&ProductID=off_12&Currency=CZK&Coupon=WINTER10&PStatus=A&ip=89.24.1.7";
    check("post_affiliate_pro", &sale(), &[expected]);
    let short = "GET https://example.postaffiliatepro.com/scripts/sale.php?visitorId=wNq7%2B8%2F3%3Dkk&OrderID=trx_9001&ProductID=off_12\
                 &PStatus=A";
    check("post_affiliate_pro", &bare(), &[short]);
}

#[test]
fn a_custom_type_is_sent_by_its_name() {
    let signup = sale_but(|detail| {
        detail["conversion"]["type"] = json!("custom");
        detail["conversion"]["custom_type"] = json!("signup");
    });
    let expected =
        "GET https://track.example.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&currency=EUR&txid=trx_9001&et=signup";
    check("voluum", &signup, &[expected]);
}

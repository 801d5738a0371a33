"""Some two hundred conversions and what becomes of them in three weeks of November 2026: the demo's main input.

Every choice is drawn from one seeded source (`random.Random.random` alone, whose sequence Python guarantees), so the same file comes
out on every machine. A `Life` is one conversion; it keeps the state and writes a message at every change.
"""

import copy
import random

from bus import envelope, moment, number
from values import HOSTILE, LONG, NUL, ORDINARY, UNICODE, USER_AGENTS, address

SEED = 20261101

ADVERTISERS = {
    "adv_1": "Shop & Sons", "adv_2": "Banka Příklad, a. s.", "adv_3": "متجر المثال", "adv_4": "Games \"R\" Fun", "adv_5": "Śklep",
}

# offer, name, advertiser, country, currency, category, digits of the currency
OFFERS = [
    ("off_1", "Shoes CZ", "adv_1", "CZ", "CZK", "fashion", 2),
    ("off_2", "Shoes SK", "adv_1", "SK", "EUR", "fashion", 2),
    ("off_3", "Sklep & więcej PL", "adv_5", "PL", "PLN", "fashion", 2),
    ("off_4", "Insurance 50% off?", "adv_5", "PL", "PLN", "insurance", 2),
    ("off_5", "Půjčka CZ", "adv_2", "CZ", "CZK", "finance", 2),
    ("off_6", "Card EU", "adv_2", "DE", "EUR", "finance", 2),
    ("off_7", "ゲーム JP", "adv_4", "JP", "JPY", "games", 0),
    ("off_8", "Game US 🎮", "adv_4", "US", "USD", "games", 2),
    ("off_9", "عرض البحرين", "adv_3", "BH", "BHD", "travel", 3),
    ("off_10", "Travel HU", "adv_3", "HU", "HUF", "travel", 0),
]

AFFILIATES = ["aff_1", "aff_2", "aff_3", "aff_4", "aff_5", "aff_6", "aff_7", "aff_8"]

# What most conversions' messages leave out; everything but the ids and the result may be absent (contract §1).
OPTIONAL = {"advertiser_name", "offer_name", "user_agent", "query_params", "click_at", "commission_id", "created_at", "revenue",
            "previous_result", "result_at", "channel"}


class Dice:
    """Seeded choices, each made of one call of `random()`."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def below(self, limit):
        """An integer from 0 to limit − 1."""
        return int(self.source.random() * limit)

    def one(self, items):
        """One of the items."""
        return items[self.below(len(items))]

    def chance(self, percent):
        """True so many times of a hundred."""
        return self.below(100) < percent


class Life:
    """One conversion: its state, its clock, and the messages written so far."""

    def __init__(self, dice, index, messages, **given):
        self.dice, self.messages, self.name = dice, messages, f"{index:04d}"
        self.minute = index * 110 + dice.below(90)
        self.version, self.transactions, self.as_number = 0, [], dice.chance(30)
        offer, offer_name, advertiser, country, currency, _, self.digits = OFFERS[index % len(OFFERS)]
        channel = dice.below(4)
        affs = {f"affs{1 + dice.below(10)}": self.text(20) for _ in range(dice.below(3))}
        self.conversion = {
            "conversion_id": f"cnv_{self.name}", "type": "sale", "custom_type": None,
            "source": dice.one(["link", "link", "link", "iframe", "api"]), "affiliate_id": AFFILIATES[dice.below(len(AFFILIATES))],
            "advertiser_id": advertiser, "advertiser_name": ADVERTISERS[advertiser], "offer_id": offer, "offer_name": offer_name,
            "channel_id": f"chn_{channel}" if channel else None, "channel": [None, "main", "e-mail", "kanál č. 3"][channel],
            "integration_id": f"int_{1 + dice.below(4)}" if dice.chance(80) else None, "country": country,
            "pcid": f"pc-{dice.below(16**8):08x}", "external_id": self.text(12) if dice.chance(70) else f"X-{index}",
            "affiliate_click_id": self.text(30), "affs": affs, "value": None, "currency": currency, "voucher": None,
            "query_params": {"utm_source": self.text(20)} if dice.chance(30) else {}, "cookie_params": {},
            "ip": address(index), "user_agent": dice.one(USER_AGENTS) if dice.chance(25) else None,
            "click_at": moment(self.minute - 25), "created_at": moment(self.minute), "updated_at": None, "settled": None,
        } | given
        self.spell_nulls = dice.chance(6)
        self.terse = not self.spell_nulls and dice.chance(85)

    def text(self, unusual):
        """A free text, unusual so many times of a hundred."""
        if not self.dice.chance(unusual):
            return f"{self.dice.one(ORDINARY)}-{self.dice.below(16**6):06x}"
        return self.dice.one(UNICODE) if self.dice.chance(35) else self.dice.one(HOSTILE)

    def money(self, low, high):
        """An amount between two whole ones, with as many digits as the currency has."""
        units = 10**self.digits
        amount = low * units + self.dice.below((high - low) * units)
        text = f"{amount // units}.{amount % units:0{self.digits}d}" if self.digits else str(amount)
        return number(text) if self.as_number else text

    def wait(self, minutes):
        """Lets time pass."""
        self.minute += 1 + self.dice.below(minutes)

    def commission(self, count=1, **fields):
        """Adds transactions that the next message creates."""
        for _ in range(count):
            serial = len(self.transactions) + 1
            self.transactions.append({
                "transaction_id": f"trx_{self.name}_{serial}", "version": 1, "change": "created", "commission_id": f"com_{serial}",
                "type": self.conversion["type"], "result": "pending", "previous_result": None, "payout": self.money(1, 40),
                "revenue": self.money(40, 60), "currency": self.conversion["currency"], "created_at": moment(self.minute),
            } | fields)

    def update(self, *serials, **fields):
        """Changes transactions (all without serials); their results keep what they were before."""
        for serial, transaction in enumerate(self.transactions, 1):
            if serials and serial not in serials:
                continue
            before = transaction["result"]
            transaction.update(change="updated", version=transaction["version"] + 1, updated_at=moment(self.minute), **fields)
            transaction["previous_result"] = before
            if fields.get("result", "pending") != "pending":
                transaction["result_at"] = moment(self.minute)

    def send(self, change, **fields):
        """Writes the message of a change; afterwards no transaction has changed any more."""
        self.version += 1
        self.conversion.update(fields)
        if change == "updated":
            self.conversion["updated_at"] = moment(self.minute)
        conversion = {"conversion_id": self.conversion["conversion_id"], "version": self.version, "change": change} | self.conversion
        transactions = copy.deepcopy(self.transactions)
        if not self.spell_nulls:
            conversion = {k: v for k, v in conversion.items() if v is not None and v != {}}
            transactions = [{k: v for k, v in t.items() if v is not None} for t in transactions]
        if self.terse:
            conversion = {k: v for k, v in conversion.items() if k not in OPTIONAL}
            transactions = [{k: v for k, v in t.items() if k not in OPTIONAL} for t in transactions]
        detail = {"change_id": f"chg_{self.name}_{self.version}", "occurred_at": moment(self.minute, 7 * self.version),
                  "conversion": copy.deepcopy(conversion), "transactions": transactions}
        self.messages.append((self.minute, envelope(detail)))
        for transaction in self.transactions:
            transaction["change"] = "unchanged"
            transaction.pop("auto_set", None)
            transaction.pop("auto_approved", None)


def click(life):
    """A click; now and then the pixel adds its cookies."""
    life.send("created", type="click", external_id=None)
    if life.dice.chance(15):
        life.wait(3)
        life.send("updated", cookie_params={"_fbp": f"fb.1.{life.dice.below(10**9)}"})


def other(life):
    """A view, a sent form or a prospect: no payout."""
    life.send("created", type=life.dice.one(["view", "send", "prospect"]))


def lead(life):
    """A lead through the iframe, cookies by the pixel, and the advertiser's word on it days later."""
    life.conversion.update(type="lead", source=life.dice.one(["iframe", "iframe", "link", "api"]))
    life.commission()
    life.send("created")
    if life.dice.chance(50):
        life.wait(3)
        life.update()
        life.send("updated", cookie_params={"_ga": f"GA1.1.{life.dice.below(10**9)}", life.dice.one(["k&y", "clé", "c"]): life.text(40)})
    if life.dice.chance(75):
        life.wait(3000)
        life.update(result=life.dice.one(["approved", "approved", "rejected"]))
        life.send(life.dice.one(["updated", "unchanged"]))


def sale(life):
    """A sale with one to three commissions; its value may change, its commissions are decided one by one or together."""
    life.conversion.update(type="sale", value=life.money(50, 900))
    life.commission(life.dice.one([1, 1, 1, 2, 2, 3]))
    life.send("created")
    if life.dice.chance(45):
        life.wait(900)
        life.update(payout=life.money(1, 40))
        life.send("updated", value=life.money(50, 900))
    if life.dice.chance(25):
        life.wait(2000)
        life.update(1, result="approved")
        life.send("updated")
    if life.dice.chance(80):
        life.wait(4000)
        open_ = [s for s, t in enumerate(life.transactions, 1) if t["result"] == "pending"]
        if open_:
            life.update(*open_, result=life.dice.one(["approved", "approved", "approved", "rejected"]))
            life.send("updated")
        if life.dice.chance(25):
            life.wait(900)
            if life.dice.chance(50):
                life.update(payout=life.money(1, 40))
            life.send("updated", value=life.money(50, 900))


def plain_sale(life):
    """A sale that no commission rule pays for."""
    life.send("created", value=life.money(10, 90))


def auto_approved(life):
    """AutoApprove sets the result as the transaction is made; the pixel's update changes no transaction (R5)."""
    life.conversion.update(type=life.dice.one(["lead", "sale"]), value=life.money(10, 90))
    life.commission(result="approved", auto_approved=True, result_at=moment(life.minute))
    life.send("created")
    if life.dice.chance(60):
        life.wait(3)
        life.send("updated", cookie_params={"_fbp": "fb.1.7"})


def auto_set(life):
    """AutoSet decides with the creation or afterwards (R6)."""
    life.conversion.update(type="sale", value=life.money(10, 90))
    result = life.dice.one(["approved", "rejected"])
    if life.dice.chance(50):
        life.commission(result=result, auto_set=True)
        life.send("created")
    else:
        life.commission()
        life.send("created")
        life.wait(60)
        life.update(result=result, auto_set=True)
        life.send("unchanged")


def voucher(life):
    """A voucher moves the conversion to another affiliate before it is decided (C3)."""
    life.conversion.update(type="sale", value=life.money(50, 900))
    life.commission()
    life.send("created")
    life.wait(5)
    others = [a for a in AFFILIATES if a != life.conversion["affiliate_id"]]
    life.update()
    life.send("updated", affiliate_id=life.dice.one(others), voucher=life.text(50))
    if life.dice.chance(80):
        life.wait(3000)
        life.update(result="approved")
        life.send("updated")


def custom(life):
    """A custom type, by name or without one."""
    name = life.dice.one(["signup", "signup", "trial", "Žádost", None])
    life.conversion.update(type="custom", custom_type=name)
    life.commission()
    life.send("created")
    if life.dice.chance(60):
        life.wait(2000)
        life.update(result=life.dice.one(["approved", "rejected"]))
        life.send("updated")


def later_word(life):
    """A source or a type that the platform may add one day (C4)."""
    life.conversion.update(source=life.dice.one(["manual", "import", "app"]), type=life.dice.one(["sale", "install", "deposit"]))
    life.commission(result="approved")
    life.send("created")


def settled(life):
    """The platform's own word: open although every result is final, or settled although none is."""
    if life.dice.chance(50):
        life.commission(result="approved")
        life.send("created", settled=False, value=life.money(10, 90))
        if life.dice.chance(70):
            life.wait(2000)
            life.send("updated", settled=None)
    elif life.dice.chance(50):
        life.send("created", value=life.money(10, 90))
        life.wait(2000)
        life.send("updated", settled=True)
    else:
        life.commission()
        life.send("created", value=life.money(10, 90))
        life.wait(2000)
        life.send("updated", settled=True)


def idle(life):
    """A message that says nothing new (R10), between two that do."""
    life.commission()
    life.send("created", value=life.money(10, 90))
    life.wait(300)
    life.send("unchanged")
    life.wait(300)
    life.update(result="approved")
    life.send("updated")


def second_commission(life):
    """A commission that is added after the first one has been decided."""
    life.commission()
    life.send("created", value=life.money(10, 90))
    life.wait(300)
    life.update(result="approved")
    life.send("updated")
    life.wait(300)
    life.commission()
    life.send("updated")
    life.wait(300)
    life.update(2, result="approved")
    life.send("updated")


KINDS = ([click] * 17 + [other] * 5 + [lead] * 26 + [sale] * 32 + [plain_sale] * 4 + [auto_approved] * 9 + [auto_set] * 9 + [voucher] * 8
         + [custom] * 9 + [later_word] * 5 + [settled] * 8 + [idle] * 4 + [second_commission] * 4)


def ends_of_money():
    """Amounts at the edges: zero, negative, very large, more digits than the currency has."""
    return ["0", "0.00", "-15.50", "9999999999999999.99", "0.000001", number("1500"), number("12.3450"), number("0.1")]


def lives(count=230):
    """All messages in the order in which they happened, some of them twice."""
    dice, messages = Dice(SEED), []
    for index in range(1, count + 1):
        life = Life(dice, index, messages)
        if index <= len(LONG):
            life.conversion[["affiliate_click_id", "external_id", "pcid", "voucher"][index - 1]] = LONG[index - 1]
        elif index in (17, 38):
            life.conversion["affiliate_click_id"] = NUL
        if 60 <= index < 60 + len(ends_of_money()):
            life.digits = 2
            life.conversion.update(type="sale", value=ends_of_money()[index - 60])
            life.commission(payout=ends_of_money()[index - 60])
            life.send("created")
        elif index in (45, 95):
            life.conversion.update(external_id="X-GONE")
            lead(life)
        else:
            dice.one(KINDS)(life)
    messages.sort(key=lambda timed: timed[0])
    out = []
    for position, (_, message) in enumerate(messages):
        out.append(message)
        if position % 97 == 50:
            out.append(envelope(messages[position - 20][1]["detail"], copy=1))
    return out


def offers():
    """The offers of the sample, as messages of the bus (`Offer Changed`)."""
    return [envelope({"offer_id": o, "name": n, "country": c, "category": k}, "Offer Changed") for o, n, _, c, _, k, _ in OFFERS]

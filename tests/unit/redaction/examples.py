"""Invented messages: what must be found, in [[TYPE|value]] marks, and what must be left alone."""

from __future__ import annotations

import re

POSITIVE = """
My name is [[PERSON|Maria Gonzalez]] and I need a refill.
my name is [[PERSON|thandiwe mokoena]], can I reschedule?
I'm [[PERSON|Maria Gonzalez]], a patient of [[PERSON|Patel]]
Hi, I'm [[PERSON|Will]] and my knee hurts
i am [[PERSON|john smith]] and i have a question
this is [[PERSON|Raj Patel]] calling about my bill
I saw Dr. [[PERSON|Smith]] last week
dr [[PERSON|nguyen]] told me to call
Dr. [[PERSON|Green]]'s office never called back
Mrs. [[PERSON|O'Brien]] is my mother in law
Can Nurse [[PERSON|Okafor]] call me?
my husband [[PERSON|Tom]] has diabetes
my son, [[PERSON|Mateo]], is 7 years old
My daughter's name is [[PERSON|Zanele]] and she has a cough
my wife [[PERSON|Priya Sharma]] needs an interpreter
my son is [[PERSON|Kai Mokoena]] and he is 4
Hello [[PERSON|Fatima]], thanks for the help
Thanks,\\n[[PERSON|Kenji Watanabe]]
Regards, [[PERSON|Siobhan Murphy]]
Please tell [[PERSON|Aisha Khan]] that I came by
I was told to ask for [[PERSON|Wei Zhang]] at the desk
[[PERSON|maria gonzalez]] is my mother
The appointment is for [[PERSON|Juan de la Cruz]] on Tuesday
call me [[PERSON|Hung]] please
Name: [[PERSON|Oluwaseun Adebayo]]
My name is [[PERSON|May Parkinson]] and I have a rash
Is [[PERSON|Grace Kim]] working today?
MY NAME IS [[PERSON|JOHN SMITH]] AND I NEED HELP
[[PERSON|José Hernández]] had his surgery yesterday
e-mail me at [[EMAIL|maria.gonzalez@example.com]] please
it is [[EMAIL|jsmith_88@mail.example.org]].
you can write to [[EMAIL|john at gmail dot com]]
my email is [[EMAIL|john dot smith at yahoo dot com]]
write to [[EMAIL|j.doe (at) example (dot) com]]
call [[PHONE|515-555-0142]] after five
my cell is [[PHONE|(515) 555-0143]]
reach me on [[PHONE|+1 515 555 0144]]
phone [[PHONE|5155550145]]
call me back at [[PHONE|555-0146]]
my number is [[PHONE|555 0147]]
my number is [[PHONE|five one five five five five zero one four eight]]
work phone: [[PHONE|515.555.0149 ext. 22]]
my uk number is [[PHONE|+44 20 7946 0958]]
My SSN is [[SSN|078-05-1120]]
social security number [[SSN|078 05 1120]]
ssn: [[SSN|078051120]]
the last four of my social are [[SSN|1120]]
MRN [[MRN|00123456]]
my medical record number is [[MRN|A-448120]]
patient id: [[MRN|PX99231]]
chart number [[MRN|77-1203]]
my member id is [[MEMBER_ID|XGH123456789]]
policy number [[MEMBER_ID|88-29145]]
group # [[MEMBER_ID|40991]]
Medicaid number [[MEMBER_ID|1234567A]]
my Medicare number is [[MBI|1EG4-TE5-MK73]]
claim number [[MEMBER_ID|2024-55812]]
prescription number [[MEMBER_ID|7712345]]
Rx# [[MEMBER_ID|6612345]]
account number is [[ACCOUNT|55521234]]
confirmation code [[ACCOUNT|ZX81QT]]
my card is [[CARD|4111 1111 1111 1111]] exp soon
paid with [[CARD|5500005555555559]]
driver's license [[LICENSE|D1234567]]
license number: [[LICENSE|K932-778-3840]]
my license plate is [[VEHICLE|ABC 1234]]
the VIN is [[VEHICLE|1HGCM82633A004352]]
pacemaker serial number [[DEVICE|PM-4429-X1]]
serial no. [[DEVICE|SN88231A]]
my username is [[USERNAME|mgonzalez62]]
login: [[USERNAME|maria.g]]
my password is [[USERNAME|Sunny#2024]]
it showed [[IP|192.168.4.21]] as the address
my site is [[URL|https://example.com/~maria?id=7]]
see [[URL|www.mariasblog.example/post]]
DOB [[DATE|03/14/1962]]
born [[DATE|March 14, 1962]]
date of birth: [[DATE|14 March 1962]]
my birthday is [[DATE|3-14-62]]
surgery was on [[DATE|2024-03-14]]
my appointment on [[DATE|May 5th]] at 3 pm
I had it removed in [[DATE|March 2021]]
since [[DATE|the fourteenth of March]]
I was seen [[DATE|Oct 3]]
born [[DATE|March fourteenth nineteen sixty-two]]
scheduled for [[DATE|4/12]] at 9 am
my mother is [[AGE|93]] and lives alone
she is [[AGE|ninety-four years old]]
a [[AGE|97-year-old]] woman
I'm [[AGE|91]]
dad turned [[AGE|ninety two]] last week
I live at [[ADDRESS|12 Elm Street]]
send it to [[ADDRESS|4410 SW 9th Ave Apt 3B, Des Moines, IA 50315]]
my address is [[ADDRESS|77 Willow Creek Dr]]
we are at [[ADDRESS|221b baker street]]
mail to [[ADDRESS|PO Box 1182]]
my zip is [[ZIP|50309]]
zip code [[ZIP|50309-1234]]
I live in [[CITY|Des Moines]]
i live in [[CITY|des moines]]
we moved to [[CITY|Council Bluffs, IA]]
I'm coming from [[CITY|Waterloo]]
I work at [[ORGANIZATION|Acme Tools]]
my son goes to [[ORGANIZATION|Lincoln Elementary School]]
Patient: [[PERSON|Ngozi Eze]] DOB [[DATE|1/2/55]]
[[PERSON|Tomás]]'s mom here
Dr. [[PERSON|A. Rahman]] saw me
is dr. [[PERSON|wood]] in today
everyone calls me [[PERSON|Weronika]]
[[PERSON|O'Connor]] is my last name
surname is [[PERSON|Al-Hassan]]
my mother's maiden name [[PERSON|Rossi]]
my husband [[PERSON|bill]] has chest pain
See you then.\n- [[PERSON|Anneliese]]
for my mother [[PERSON|Ludmila Petrenko]], born [[DATE|1931]]
MY DAUGHTER [[PERSON|EMILY]] IS SICK
Aetna ID [[MEMBER_ID|W2233 44556]]
my case number is [[MRN|4471]]
my number's [[PHONE|555.0147]]
plate number [[VEHICLE|IA-482 KLM]]
I live at [[ADDRESS|1450 N. Prairie View Rd, Apt 12, Ames, Iowa 50010]] with my dog
my phone is [[PHONE|five one five, five five five, 0 1 4 2]]
I live in [[CITY|West Liberty]] now
Hi, I'm [[PERSON|Zoe Young]] and I need a refill.
i'm [[PERSON|maria kelemen]] and i need a refill
i saw dr. [[PERSON|varvio]] yesterday
My name is [[PERSON|Willemine ten Pas]]
I saw Dr. [[PERSON|Young]] yesterday
vivo en [[CITY|Des Moines]]
login [[USERNAME|jdoe77]] password [[USERNAME|Hunter#22]]
ｍｙ ｐｈｏｎｅ ｉｓ [[PHONE|５１５－５５５－０１４２]]
"""

NEGATIVE = """
Take 500 mg twice a day with food.
My blood pressure was 120/80 this morning.
It has been 3 days after surgery and I feel fine.
My temperature is 102.4 and I feel hot.
The MRI showed L3-L4 stenosis.
I take Kisqali 600 daily.
Is B12 safe with metformin?
My A1c was 7.2 and my glucose 145.
I have Parkinson's disease and Crohn's.
Can I drink Dr Pepper before the test?
She was told she has von Willebrand disease.
I have Bell's palsy on the left side.
The Foley catheter is leaking.
My baby has Hirschsprung disease.
He has Hodgkin lymphoma, stage 2.
May I eat before the blood draw?
Will the nurse call me today?
I hope to see grace in this.
How long is the wait at urgent care?
Imaging is open Monday to Friday 7 a.m. to 7 p.m.
Call 515-555-0111 for the nurse line.
The address is 400 Cedar Valley Parkway, Cedar Valley, IA 50100.
Go to Main Building, level 1, room 118.
Call 911 if you have chest pain.
You can text 988 at any time.
My pain is 8/10 and was 5/10 before.
I weigh 195 lbs and my oxygen is 95%.
My mother is 72 and takes warfarin.
I am 45 years old with asthma.
I'm 34 weeks pregnant.
The diagnosis code is F33.1.
Hydrocodone 5/325 every 6 hours
take 1/2 tablet for 10 days
I need 3 refills of lisinopril 20 mg
Should I stop aspirin 7 days before?
My heart rate is 92 beats per minute
The patient portal is not working.
My username is not working
My son is Autistic and my husband is Vegan
my password is expired
my login is locked
I am allergic to penicillin.
I'm Catholic and would like a chaplain
This is urgent please help
Thanks so much for your help!
Hi there, I have a question
Dear Care Team, please advise
my doctor said to wait
my husband has chest pain
my son is 5 and has a fever of 103
Dr appointment next Tuesday at 2:30 pm
The doctor told me to walk
I have MS and need a parking permit
platelets were 150,000 and WBC 4500
walk 5000-8000 steps a day
drink 1500-2000 ml of water
she takes 10000 units of vitamin D
the visit lasted 90 minutes
my oxygen is 92 and my pulse 97
I waited 2 hours in the emergency department
It's a 20 minute drive to the hospital
I live in an apartment with stairs
I live in constant pain
Is Camila the same as my old birth control pill?
Does Ella work after 3 days?
The CPT code is 99213
I had COVID-19 in the past
HbA1c 6.5, LDL 130, HDL 45
sodium 138, potassium 4.1, creatinine 0.9
insulin 10 units before breakfast
the second floor of the Oak Building
How do I get my medical records?
what is my member id
Where do I find my account number?
My insurance is Medicaid
the claim was denied twice
Can I bring my service dog Tuesday?
I use a CPAP at 10 cm
Humira 40 mg/0.4 mL every 2 weeks
I go to physical therapy 3 times a week
Visiting hours are 8 a.m. to 8 p.m. every day
since last march my knee hurts
I march in place for exercise
he may take one tablet
The Mayo stand and the Apgar score were explained.
Johnson & Johnson vaccine in the fall
I'm Diabetic and Tired
Is St. John's wort safe with sertraline?
at 9 am on Monday the lab is closed
1,000 mg of acetaminophen every 6 hours
My name is not on the list
my name is spelled wrong on the bill
my husband will come later
I live in Iowa
My dr. increased the dose and the dr. wrote it down
The pain is from Monday and my mother moved to Cardiology
I live in Assisted Living and she is in Memory Care
I work for Urgent Care
The vaccine lot 8833921 was recalled
take 5000000 units of penicillin
glucose 110-140-180 through the day
St. Jude valve, Mohs surgery, Swan-Ganz catheter
My Graves' disease and Addison's
I'm 99% sure
he is 90 percent better
The team may first soften the cervix.
Take Tylenol 650 mg or Advil 200-400 mg
"""

_MARK = re.compile(r"\[\[([A-Z_]+)\|([^\]]+)\]\]")


def parse(line: str) -> tuple[str, list[tuple[str, int, int]]]:
    """The message without marks, and its spans (type, start, end)."""
    line = line.replace("\\n", "\n")
    text, spans, last = "", [], 0
    for match in _MARK.finditer(line):
        text += line[last : match.start()]
        spans.append((match[1], len(text), len(text) + len(match[2])))
        text += match[2]
        last = match.end()
    return text + line[last:], spans


POSITIVE_LINES = [line for line in POSITIVE.strip().split("\n") if "[[" in line]
NEGATIVE_LINES = NEGATIVE.strip().split("\n")

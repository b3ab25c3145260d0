/* topic_examples - the data of one valid event for each topic, as `enlight topics NAME` prints it. The persons, courses and
 * agreements are invented; the universities exist. Included by topic.c alone. */
#ifndef ENLIGHT_CORE_TOPIC_EXAMPLES_H
#define ENLIGHT_CORE_TOPIC_EXAMPLES_H

/* Its arguments as text: JSON that reads as JSON. */
#define JSON(...) #__VA_ARGS__

/* clang-format off */

static const char example_course[] = JSON({
	"courseId": "CR/f6d14b1f-f330-4956-8819-e24feb12d519",
	"code": "LTAT.02.004",
	"title": [{"lang": "en", "value": "Machine Learning"}, {"lang": "et", "value": "Masinõpe"}],
	"kind": "course",
	"ounitId": "LTAT",
	"iscedF": "0613",
	"eqfLevel": "7",
	"description": [{"lang": "en", "value": "Supervised and unsupervised methods, with a project in mixed teams."}],
	"urls": [{"lang": "en", "url": "https://ois2.ut.ee/#/courses/LTAT.02.004"}],
	"credits": [{"scheme": "ects", "value": "6.00", "level": "master"}],
	"runs": [{
		"runId": "CRI/13466290",
		"start": "2026-09-01",
		"end": "2027-01-24",
		"term": {"academicYear": "2026/2027", "term": "2026/2027-1/2", "name": [{"lang": "en", "value": "Autumn 2026"}]},
		"language": "en",
		"gradingScheme": {"label": [{"lang": "en", "value": "A-F"}]},
		"engagementHours": "64",
		"status": {"code": "open"},
		"places": 20,
		"enrolFrom": "2026-06-01",
		"enrolUntil": "2026-08-15",
		"deliveryMode": "hybrid"
	}],
	"partners": [{"heiId": "ugent.be", "courseId": "CR/C004074", "role": "teaching"}, {"heiId": "uu.se", "role": "recognising"}],
	"learningOutcomes": [{"lang": "en", "value": "Chooses, trains and judges a model for a task from practice."}],
	"deliveryMode": "hybrid"
});

static const char example_programme[] = JSON({
	"programmeId": "enlight-msc-global-health",
	"code": "GH-MSC",
	"title": [{"lang": "en", "value": "Joint Master in Global Health"}],
	"coordinator": {"heiId": "u-bordeaux.fr", "ounitId": "ISPED", "contacts": [
		{"name": [{"lang": "en", "value": "Joint programmes office"}], "email": "joint-programmes@example.org"}]},
	"partners": [
		{"institution": {"heiId": "uu.se"}, "country": "SE", "role": "full", "awardsDegree": true, "joined": "2026-01"},
		{"institution": {"heiId": "universityofgalway.ie"}, "country": "IE", "role": "full", "awardsDegree": true}],
	"status": {"code": "agreed"},
	"eqfLevel": "7",
	"iscedF": "0912",
	"degreeType": "joint",
	"credits": [{"scheme": "ects", "value": "120"}],
	"durationMonths": 24,
	"languages": ["en"],
	"courses": [{"heiId": "uu.se", "courseId": "CR/3PE100"}],
	"mobility": [{"lang": "en", "value": "First year in Bordeaux, third term in Uppsala or Galway."}],
	"firstAcademicYear": "2027/2028",
	"accreditations": [{"agency": "Hcéres", "scheme": "european-approach", "decided": "2026-05-20", "validUntil": "2032-05-20"}]
});

static const char example_enrolment[] = JSON({
	"enrolmentId": "9d0c2f5e-7f0a-4c61-9a56-1b7f6b3f2a11",
	"student": {
		"names": [{"given": "Maite", "family": "Etxeberria"}],
		"birthDate": "2003-02-17",
		"esi": "urn:schac:personalUniqueCode:int:esi:ehu.eus:20037711",
		"email": "maite.etxeberria@example.org"
	},
	"home": {"heiId": "ehu.eus"},
	"host": {"heiId": "rug.nl", "ounitId": "FSE"},
	"courseId": "CR/WMCS014-05",
	"runId": "CRI/2026-1",
	"academicYear": "2026/2027",
	"term": "2026/2027-1/2",
	"homeState": {"code": "requested"},
	"hostState": {"code": "pending", "foreignValue": "pending", "foreignList": "ooapi-5"},
	"homeLocalId": "M-88123",
	"eqfLevel": "6",
	"iscedF": "0613",
	"languageSkills": [{"language": "en", "cefrLevel": "C1"}]
});

static const char example_agreement[] = JSON({
	"agreementId": "0b6f4a52-2d0e-4a8d-bf2b-9b1f6a5cf1c4",
	"partners": [
		{"heiId": "ugent.be", "localId": "IIA-2026-114", "code": "B GENT01 - EE TARTU02", "signingDate": "2026-03-02",
			"signingContact": {"name": [{"lang": "en", "value": "Lieve Dhondt"}], "role": [{"lang": "en", "value": "Head of international relations"}]}},
		{"heiId": "ut.ee", "localId": "7731", "signingDate": "2026-03-05"}],
	"status": {"code": "in-effect"},
	"inEffect": true,
	"conditions": [{
		"kind": "student-studies",
		"sending": {"heiId": "ugent.be"},
		"receiving": {"heiId": "ut.ee", "ounitId": "LTAT"},
		"firstAcademicYear": "2026/2027",
		"lastAcademicYear": "2028/2029",
		"mobilitiesPerYear": 4,
		"languageSkills": [{"language": "en", "cefrLevel": "B2"}],
		"subjectAreas": [{"iscedF": "0613", "clarification": "Data science"}],
		"monthsPerYear": "20.00",
		"blended": false,
		"eqfLevels": ["6", "7"]
	}]
});

static const char example_nomination[] = JSON({
	"mobilityId": "c442c289-5541-4cae-9edb-8ad8b1c40e57",
	"student": {
		"names": [{"given": "Kadri", "family": "Tamm"}, {"lang": "ru-Cyrl", "given": "Кадри", "family": "Тамм"}],
		"birthDate": "2004-05-05",
		"esi": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887",
		"nationality": "EE",
		"gender": "FEMALE",
		"email": "kadri.tamm@example.org"
	},
	"sending": {"heiId": "ut.ee", "ounitId": "LTAT", "agreementId": "7731"},
	"receiving": {"heiId": "ugent.be", "agreementId": "IIA-2026-114"},
	"proposalId": "AE61266750D019063512516C7EE01968",
	"sendingTerm": "2026/2027-2/2",
	"receivingAcademicYear": "2026/2027",
	"activityType": "student-studies",
	"activityAttributes": "long-term",
	"agreementIscedF": "0613",
	"studentIscedF": "0613",
	"eqfLevel": "6",
	"status": {"code": "pending"},
	"plannedStart": "2027-02",
	"plannedEnd": "2027-06"
});

static const char example_learning[] = JSON({
	"mobilityId": "c442c289-5541-4cae-9edb-8ad8b1c40e57",
	"student": {
		"names": [{"given": "Kadri", "family": "Tamm"}],
		"esi": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887"
	},
	"sending": {"heiId": "ut.ee", "contacts": [{"name": [{"lang": "en", "value": "Exchange office"}], "email": "exchange@example.org"}]},
	"receiving": {"heiId": "ugent.be"},
	"receivingAcademicYear": "2026/2027",
	"start": "2027-02-08",
	"end": "2027-06-30",
	"eqfLevel": "6",
	"iscedF": "0613",
	"languageSkills": [{"language": "en", "cefrLevel": "C1"}],
	"status": {"code": "first-version"},
	"studied": [{
		"courseId": "CR/C003115",
		"code": "C003115",
		"title": [{"lang": "en", "value": "Distributed Systems"}],
		"term": "2026/2027-2/2",
		"credits": [{"scheme": "ects", "value": "6"}]
	}],
	"recognised": [{
		"code": "LTAT.06.007",
		"title": [{"lang": "en", "value": "Distributed Systems"}],
		"credits": [{"scheme": "ects", "value": "6"}]
	}],
	"signatures": [
		{"party": "student", "time": "2026-12-01T10:15:00Z"},
		{"party": "sending", "time": "2026-12-02T08:00:00Z", "position": "Departmental coordinator"}]
});

static const char example_stay[] = JSON({
	"mobilityId": "c442c289-5541-4cae-9edb-8ad8b1c40e57",
	"sending": {"heiId": "ut.ee"},
	"receiving": {"heiId": "ugent.be"},
	"student": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887",
	"arrival": "2027-02-05",
	"status": {"code": "arrived"},
	"certified": true
});

static const char example_transcript[] = JSON({
	"mobilityId": "c442c289-5541-4cae-9edb-8ad8b1c40e57",
	"student": {
		"names": [{"given": "Kadri", "family": "Tamm"}],
		"birthDate": "2004-05-05",
		"esi": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887"
	},
	"sending": {"heiId": "ut.ee"},
	"receiving": {"heiId": "ugent.be"},
	"issuer": "ugent.be",
	"receivingAcademicYear": "2026/2027",
	"issued": "2027-07-15",
	"results": [{
		"courseId": "CR/C003115",
		"code": "C003115",
		"title": [{"lang": "en", "value": "Distributed Systems"}],
		"term": "2026/2027-2/2",
		"credits": [{"scheme": "ects", "value": "6"}],
		"outcome": "passed",
		"grade": "16",
		"gradingScheme": {"label": [{"lang": "en", "value": "0-20"}]},
		"distribution": {"categories": [{"label": "10-13", "count": 41}, {"label": "14-16", "count": 30}, {"label": "17-20", "count": 9}]},
		"language": "en"
	}],
	"gradeTables": [{"iscedF": "0613", "grades": [{"label": "16", "percentage": "11.4"}]}],
	"status": {"code": "final"}
});

static const char example_staff[] = JSON({
	"mobilityId": "sta-2026-0031",
	"staff": {
		"names": [{"given": "Jana", "family": "Horváthová"}],
		"allianceId": "urn:schac:europeanUniversityAllianceCode:int:euai:uniba.sk:s-50417",
		"email": "jana.horvathova@example.org"
	},
	"sending": {"heiId": "uniba.sk"},
	"receiving": {"heiId": "uni-goettingen.de", "ounitId": "07"},
	"activityType": "staff-teacher",
	"academicYear": "2026/2027",
	"start": "2027-03-08",
	"end": "2027-03-12",
	"days": "5",
	"teachingHours": "8",
	"iscedF": "0231",
	"eqfLevel": "7",
	"language": "de",
	"programme": [{"lang": "en", "value": "Seminar on Central European literature."}],
	"status": {"code": "proposed"}
});

static const char example_credential[] = JSON({
	"credentialId": "mc-2026-000417",
	"holder": {
		"names": [{"given": "Aoife", "family": "Ní Bhriain"}],
		"birthDate": "1999-11-30",
		"esi": "urn:schac:personalUniqueCode:int:esi:universityofgalway.ie:21304417"
	},
	"issuer": {"heiId": "uni-goettingen.de"},
	"kind": "micro-credential",
	"title": [{"lang": "en", "value": "Sustainable Food Systems"}],
	"country": "DE",
	"issued": "2026-10-02",
	"validFrom": "2026-10-02",
	"learningOutcomes": [{"lang": "en", "value": "Compares food systems by their effect on climate and soil."}],
	"credits": [{"scheme": "ects", "value": "3"}],
	"workloadHours": "80",
	"eqfLevel": "7",
	"iscedF": "0811",
	"assessment": "project",
	"participation": "online",
	"qualityAssurance": [{"lang": "en", "value": "System accreditation of the university"}],
	"supervision": "supervised-online",
	"grade": "passed",
	"stackability": "stackable",
	"courses": [{"heiId": "uni-goettingen.de", "courseId": "MOD/M.Agr.0174"}],
	"status": {"code": "issued"},
	"document": {"mediaType": "application/vc+ld+json", "size": 2, "digest": "wJ2lItrCYcPSVmIwvtENLz7xP452VFdsEuhX4H94YJg=", "content": "e30=", "kind": "credential"}
});

static const char example_assessment[] = JSON({
	"assessmentId": "edl-gh-2026",
	"programmeId": "enlight-msc-global-health",
	"coordinator": {"heiId": "u-bordeaux.fr"},
	"partners": [
		{"heiId": "u-bordeaux.fr", "country": "FR"},
		{"heiId": "uu.se", "country": "SE"},
		{"heiId": "universityofgalway.ie", "country": "IE"}],
	"eqfLevel": "7",
	"ruleSet": "edl-2025.1",
	"legalReference": "C/2025/3006",
	"criteria": [
		{"criterionId": "1a", "outcome": "met", "measured": "3", "unit": "countries"},
		{"criterionId": "2f", "outcome": "evidence-pending", "measured": "30", "unit": "ects",
			"evidence": [{"lang": "en", "value": "One term at a partner is compulsory."}]}],
	"outcome": "pending",
	"assessed": "2026-09-15"
});

static const char example_eligibility[] = JSON({
	"eligibilityId": "le-7f3b61",
	"learner": {
		"names": [{"given": "Elin", "family": "Sandström"}],
		"esi": "urn:schac:personalUniqueCode:int:esi:uu.se:p-880134"
	},
	"assessor": {"heiId": "uu.se"},
	"programmeId": "enlight-msc-global-health",
	"ruleSet": "edl-2025.1",
	"legalReference": "C/2025/3006",
	"periods": [{"heiId": "u-bordeaux.fr", "form": "physical", "start": "2027-09-01", "end": "2028-01-31", "days": 153,
		"credits": [{"scheme": "ects", "value": "30"}]}],
	"credits": [{"heiId": "u-bordeaux.fr", "credits": [{"scheme": "ects", "value": "30"}]}],
	"languages": [{"language": "fr", "cefrLevel": "B1"}, {"language": "sv", "cefrLevel": "NS"}],
	"criteria": [{"criterionId": "2f", "outcome": "met", "measured": "30", "unit": "ects"}],
	"outcome": "eligible",
	"assessed": "2028-06-20"
});

#define EXAMPLE_DECISION(topic, subject) JSON({ \
	"source": "ut.ee", \
	"topic": topic, \
	"subject": subject, \
	"revision": "1", \
	"digest": "XxrT+UxJ8mRyqCqC5dOtqkSxZ5E6o4VvNq0dNq4W1Fg=", \
	"verdict": "reject", \
	"comment": [{"lang": "en", "value": "Please resend with the field of study of the agreement."}] \
})

#define EXAMPLE_WITHDRAWAL(topic) JSON({ \
	"topic": topic, \
	"revision": "1", \
	"reason": "cancelled", \
	"comment": [{"lang": "en", "value": "Will not take place."}] \
})

static const char example_correction[] = JSON({
	"correctionId": "4f0c9f1a-5f1e-4a52-8f62-2b1f2f6f9d3c",
	"person": {
		"names": [{"given": "Kadri", "family": "Tamm-Kask"}],
		"esi": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887"
	},
	"subjects": ["mobility/c442c289-5541-4cae-9edb-8ad8b1c40e57"],
	"since": "2027-03-01"
});

static const char example_erasure[] = JSON({
	"erasureId": "b7f0a1de-5d0b-4f5e-9d4e-0f0f9f7c1a20",
	"person": "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887",
	"sequences": ["18", "19", "27"],
	"reason": "request"
});

static const char example_document_part[] = JSON({
	"documentId": "3c1d1c63-9d6e-49f5-a6c7-f1b0a0d7a6d1",
	"number": 1,
	"total": 2,
	"content": "JVBERi0xLjcK",
	"digest": "XxrT+UxJ8mRyqCqC5dOtqkSxZ5E6o4VvNq0dNq4W1Fg=",
	"persons": ["urn:schac:personalUniqueCode:int:esi:ut.ee:b41887"]
});

static const char example_act[] = JSON({
	"actId": "01a207bd-a9c0-7cc3-98c4-dc0c0c07398f",
	"act": "peers.block",
	"result": "done",
	"uid": 1000,
	"user": "liis",
	"object": "ugent.be",
	"reason": "floods us, told them by telephone"
});

static const char example_checkpoint[] = JSON({
	"node": "ut.ee",
	"time": "2026-11-23T00:00:00Z",
	"anchors": ["XxrT+UxJ8mRyqCqC5dOtqkSxZ5E6o4VvNq0dNq4W1Fg="]
});

/* clang-format on */

#endif

//! French.

use super::Words;

pub(super) const WORDS: Words = Words {
    skip: "Aller au contenu",
    languages: "Langue",
    footer: "Sans cookies ni pistage.",
    connect_title: "Connectez votre banque",
    repair_title: "Reconnectez",
    repair_unnamed_title: "Reconnectez votre banque",
    asks_to_connect: "vous invite à connecter un compte bancaire, pour que vos opérations arrivent sans papier ni envoi de fichiers.",
    asks_to_repair: "ne reçoit plus rien de cette banque. Le plus souvent, il suffit de vous identifier à nouveau.",
    steps_title: "Comment cela se passe",
    connect_steps: [
        ("Choisissez votre banque", "Dans l’espace sécurisé de notre service de données."),
        ("Identifiez-vous", "Avec vos identifiants bancaires. Confirmez si votre banque le demande."),
        ("C’est tout", "Soldes et opérations arrivent ensuite d’eux-mêmes."),
    ],
    repair_steps: [
        ("Continuez vers votre banque", "Dans l’espace sécurisé de notre service de données."),
        ("Identifiez-vous", "Avec vos identifiants actuels. Confirmez si votre banque le demande."),
        ("C’est tout", "Tout reprend là où cela s’était arrêté ; rien n’est perdu."),
    ],
    promises: ["Nous ne voyons jamais votre mot de passe.", "Lecture seule : personne ne peut déplacer d’argent."],
    good_until: "Ce lien fonctionne une fois, jusqu’au",
    continue_button: "Continuer",
    again_button: "Réessayer",
    widget_title: "Identifiez-vous auprès de votre banque",
    widget_opening: "Ouverture de l’espace sécurisé…",
    widget_open: "Poursuivez dans la fenêtre qui vient de s’ouvrir.",
    widget_saving: "Connexion établie. Un instant, nous l’enregistrons…",
    widget_closed: "La fenêtre a été fermée avant la fin de la connexion. Vous pouvez réessayer quand vous voulez.",
    widget_missing: "L’espace sécurisé n’a pas pu être chargé. Vérifiez votre connexion, ou désactivez le bloqueur de contenu pour cette page, puis réessayez.",
    widget_no_script: "Cette étape a besoin de JavaScript, qui est désactivé dans votre navigateur. Activez-le pour cette page et rechargez-la.",
    widget_stuck: "Rien ne s’ouvre ? Recommencez cette étape.",
    failures: [
        (
            "login",
            "Votre banque a refusé les identifiants. Vérifiez-les et réessayez ; trop d’essais peuvent bloquer votre accès.",
        ),
        ("second_factor", "Le code de confirmation n’a pas été accepté ou est arrivé trop tard. Veuillez réessayer."),
        (
            "no_data",
            "Votre banque ne montre aucun compte pour ces identifiants. Essayez avec d’autres identifiants ou une autre banque.",
        ),
        ("unavailable", "Votre banque ne répond pas pour le moment. Réessayez plus tard ; ce lien reste valable."),
        ("exists", "Cette banque est déjà connectée. Vous n’avez plus rien à faire."),
        ("browser", "L’espace sécurisé ne prend pas en charge ce navigateur. Ouvrez ce lien dans un autre navigateur."),
        ("other", "La connexion n’a pas abouti. Veuillez réessayer."),
    ],
    network: "Nous ne sommes pas joignables. Vérifiez votre connexion et réessayez.",
    leaving: (
        "En route vers votre banque",
        "Vous allez être dirigé vers le site sécurisé de notre service de données. Vous reviendrez ici à la fin.",
    ),
    leaving_button: "Continuer maintenant",
    done: ("Votre banque est connectée", "Merci. Vos opérations arrivent. Vous pouvez fermer cette page."),
    repaired: (
        "Votre banque est reconnectée",
        "Merci. Tout reprend là où cela s’était arrêté. Vous pouvez fermer cette page.",
    ),
    pending: (
        "C’est bien reçu",
        "La lecture de votre banque est en cours et peut prendre quelques minutes. Vous n’avez plus rien à faire ; vous pouvez fermer cette page.",
    ),
    unknown: (
        "Ce lien ne mène nulle part",
        "Il a peut-être été coupé en route. Ouvrez-le à nouveau depuis le message reçu, ou demandez-en un nouveau.",
    ),
    used: (
        "Ce lien a déjà servi",
        "Votre banque a été connectée ; vous n’avez plus rien à faire. Pour une autre banque, demandez un nouveau lien.",
    ),
    revoked: (
        "Ce lien n’est plus valable",
        "Il a été retiré. Demandez-en un nouveau à la personne qui vous l’a envoyé.",
    ),
    expired: (
        "Ce lien a expiré",
        "Pour votre sécurité, il ne fonctionne que pendant un temps limité. Demandez-en un nouveau.",
    ),
    too_often: ("Trop de tentatives", "Ce lien a été lancé trop souvent. Demandez-en un nouveau."),
    begin_anew: (
        "Veuillez recommencer",
        "Cette étape a expiré ou a été ouverte depuis un autre endroit. Rien n’est perdu ; recommencez.",
    ),
    not_ours: (
        "Cela ne correspond pas",
        "Ce qui est arrivé n’appartient pas à une connexion commencée ici ; rien n’a donc été enregistré. Si vous venez de connecter votre banque, elle apparaîtra d’elle-même.",
    ),
    gone: ("Cette connexion n’existe plus", "Elle a été supprimée entre-temps. Demandez un nouveau lien."),
    busy: (
        "Un instant, s’il vous plaît",
        "Votre banque ou notre service de données ne répond pas pour le moment. Rien n’est perdu ; réessayez dans quelques minutes.",
    ),
    stopped_choosing: (
        "Pas encore connecté",
        "Vous êtes parti avant de choisir une banque. Vous pouvez reprendre quand vous voulez.",
    ),
    stopped_login: (
        "L’identification n’a pas abouti",
        "Votre banque l’a refusée, ou vous êtes parti avant la fin. Vérifiez vos identifiants et réessayez ; trop d’essais peuvent bloquer votre accès.",
    ),
    stopped_second_factor: (
        "Il manque la confirmation",
        "Votre banque a demandé un code ou une confirmation dans son application, qui n’est pas arrivé à temps. Veuillez réessayer.",
    ),
    stopped_confirmation: (
        "Il manque une confirmation",
        "Un dernier point devait être confirmé. Réessayez et complétez cette étape.",
    ),
    stopped_failed: (
        "Votre banque n’a pas pu être lue",
        "Cela passe souvent avec le temps. Réessayez plus tard ; ce lien reste valable.",
    ),
    stopped_elsewhere: (
        "Pas encore connecté",
        "La connexion n’a pas été menée à son terme. Vous pouvez réessayer quand vous voulez.",
    ),
    months: [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ],
};

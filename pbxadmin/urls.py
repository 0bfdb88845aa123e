from django.urls import include, path

urlpatterns = [
    path("", include("pbxadmin.ops.urls")),
    path("", include("pbxadmin.home.urls")),
    path("", include("pbxadmin.help.urls")),
    path("", include("pbxadmin.accounts.urls")),
    path("", include("pbxadmin.access.urls")),
    path("", include("pbxadmin.fleet.urls")),
    path("", include("ivr.urls")),
    path("", include("pbxadmin.batches.urls")),
    path("", include("pbxadmin.policies.urls")),
    path("", include("pbxadmin.review.urls")),
    path("", include("pbxadmin.notices.urls")),
    path("", include("pbxadmin.webhooks.urls")),
    path("", include("pbxadmin.api.urls")),
]

handler400 = "pbxadmin.web.views.bad_request"
handler403 = "pbxadmin.web.views.forbidden"
handler404 = "pbxadmin.web.views.not_found"
handler429 = "pbxadmin.web.views.too_many"  # asked for by allauth
handler500 = "pbxadmin.web.views.server_error"

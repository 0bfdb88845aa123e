from django.urls import path

from .views import customers, invitations, people, rules

app_name = "access"
urlpatterns = [
    path("customers/", customers.customer_list, name="customer-list"),
    path("customers/add/", customers.customer_add, name="customer-add"),
    path("customers/<int:pk>/", customers.customer_page, name="customer-page"),
    path("customers/<int:pk>/rename/", customers.customer_rename, name="customer-rename"),
    path("customers/<int:pk>/rules/", rules.customer_rules, name="customer-rules"),
    path("customers/<int:pk>/archive/", customers.customer_archive, name="customer-archive"),
    path("customers/<int:pk>/unarchive/", customers.customer_unarchive, name="customer-unarchive"),
    path("people/", people.person_list, name="person-list"),
    path("people/invite/", invitations.invite, name="invite"),
    path("people/invitations/", invitations.invitation_list, name="invitation-list"),
    path("people/invitations/<int:pk>/send/", invitations.invitation_send_again, name="invitation-send-again"),
    path("people/invitations/<int:pk>/withdraw/", invitations.invitation_withdraw_page, name="invitation-withdraw"),
    path("invitations/", invitations.invitation_accept_page, name="invitation-accept"),
    path("invitations/accepted/", invitations.invitation_accepted, name="invitation-accepted"),
    path("invitations/<str:token>/", invitations.invitation_open, name="invitation-open"),
    path("people/<int:pk>/", people.person_page, name="person-page"),
    path("people/<int:pk>/edit/", people.person_edit, name="person-edit"),
    path("people/<int:pk>/roles/", people.role_give, name="role-give"),
    path("people/<int:pk>/roles/<int:membership_pk>/last-day/", people.role_set_end, name="role-set-end"),
    path("people/<int:pk>/roles/<int:membership_pk>/end/", people.role_end, name="role-end"),
    path("people/<int:pk>/disable/", people.person_switch, {"enabled": False}, name="person-disable"),
    path("people/<int:pk>/enable/", people.person_switch, {"enabled": True}, name="person-enable"),
    path("people/<int:pk>/reset-second-factor/", people.second_factor_reset, name="second-factor-reset"),
    path("people/<int:pk>/make-admin/", people.site_admin_switch, {"admin": True}, name="site-admin-give"),
    path("people/<int:pk>/take-admin/", people.site_admin_switch, {"admin": False}, name="site-admin-take"),
]
